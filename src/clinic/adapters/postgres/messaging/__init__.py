"""The outbox of messages, and the log of finished ones."""
