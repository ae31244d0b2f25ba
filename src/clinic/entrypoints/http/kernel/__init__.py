"""The steps around every request, and the two ways to declare handlers."""
