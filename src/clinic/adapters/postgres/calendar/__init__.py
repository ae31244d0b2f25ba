"""Doctors' hours, and the slots made from them."""
