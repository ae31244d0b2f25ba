"""The machine itself: its clock, and ids made from it."""
