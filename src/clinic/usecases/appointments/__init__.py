"""Book, change and read appointments."""
