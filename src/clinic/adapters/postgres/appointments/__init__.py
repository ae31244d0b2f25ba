"""Appointments: booking in two round trips, changes in a transaction, lists and trails."""
