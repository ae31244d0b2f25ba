"""Hours, exceptions and slots."""
