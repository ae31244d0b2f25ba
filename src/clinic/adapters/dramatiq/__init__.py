"""The job queue on Redis or Valkey: a sorted set for what is to come, dramatiq for what is due."""

from clinic.adapters.dramatiq.queue import DramatiqQueue

__all__ = ["DramatiqQueue"]
