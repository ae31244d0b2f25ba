"""Appointments and every decision about them."""
