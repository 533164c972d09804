"""What travels over HTTP: camelCase JSON, shared by server and client. Imports pydantic only."""
