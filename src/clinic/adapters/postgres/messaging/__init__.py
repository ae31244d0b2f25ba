"""The outbox of messages, and the log of those that ended."""
