"""The clinic's rules as values and pure functions; imports the standard library alone."""
