"""The database: SQLite embedded, PostgreSQL for many gateways."""
