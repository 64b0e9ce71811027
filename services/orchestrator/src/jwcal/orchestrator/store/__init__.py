"""The job store: one port, one SQL implementation for SQLite and PostgreSQL."""
