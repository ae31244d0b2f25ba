"""Clinics and people: accounts, profiles, memberships, sessions, and what an erasure removes."""
