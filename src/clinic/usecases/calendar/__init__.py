"""Open, find and block slots; change hours."""
