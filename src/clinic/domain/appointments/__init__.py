"""Appointments: what they are, and every decision about them."""
