"""The HTTP interface: decodes requests, identifies the actor, runs use cases, renders results."""
