"""An in-memory database with the locks, isolation and constraints of the real one; lost at exit."""
