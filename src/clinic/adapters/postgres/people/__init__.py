"""Clinics and people: accounts, profiles, memberships, sessions, and erasures."""
