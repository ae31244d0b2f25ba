"""The system clock, ids made from it, and the syntax of email addresses and phone numbers."""
