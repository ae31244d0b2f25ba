"""Clinic: appointments that are never booked twice."""
