"""A database in memory, as strict as the real one: locks, isolation, constraints; gone at exit."""
