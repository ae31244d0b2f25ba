"""What stands around every request, and the two doors through which handlers are reached."""
