"""What keeps the database in order: services that any number of workers run, each once a period."""
