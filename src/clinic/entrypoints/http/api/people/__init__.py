"""Clinics, people, their accounts and sessions."""
