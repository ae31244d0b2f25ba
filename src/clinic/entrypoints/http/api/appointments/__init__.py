"""Appointments: book, read, change, swap."""
