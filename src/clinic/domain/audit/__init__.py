"""What was done: entries, events, and the seals over them."""
