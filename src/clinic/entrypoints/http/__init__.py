"""The REST interface: decodes requests, names the actor, runs a use case, renders its result."""
