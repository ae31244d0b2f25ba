"""Doctors' hours, and the slots that follow from them."""
