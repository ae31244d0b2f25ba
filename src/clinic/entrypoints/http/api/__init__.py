"""The JSON interface, by topic: handlers, and bodies of requests and responses."""
