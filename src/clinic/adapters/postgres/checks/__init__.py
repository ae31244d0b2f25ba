"""What `clinic check` looks for in the database."""
