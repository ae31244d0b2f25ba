"""People, their passwords and sessions, and the clinics they belong to."""
