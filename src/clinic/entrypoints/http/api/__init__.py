"""The JSON interface, by topic: handlers and what goes over the wire."""
