"""The audit trail: entries, events, and the seals over them."""
