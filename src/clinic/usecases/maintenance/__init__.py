"""Maintenance services for the database: any number of workers run them, each once per period."""
