"""The audit trails: appending, reading and sealing them, and the change feed."""
