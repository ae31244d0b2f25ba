"""State of the worker's maintenance services in the database."""
