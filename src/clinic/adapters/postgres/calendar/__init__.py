"""Doctors' hours, and the slots that come of them."""
