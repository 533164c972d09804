"""The submission gateway: service, command line and Python client."""
