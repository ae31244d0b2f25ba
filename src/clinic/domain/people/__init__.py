"""People, what they may sign in with, and the clinics they belong to."""
