"""What the worker's maintenance services keep in the database."""
