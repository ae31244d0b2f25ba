"""Pages for people, rendered here and without a script."""
