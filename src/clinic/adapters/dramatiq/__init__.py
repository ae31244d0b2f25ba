"""The job queue on Redis or Valkey: a sorted set for future jobs, Dramatiq for those due."""

from clinic.adapters.dramatiq.queue import DramatiqQueue

__all__ = ["DramatiqQueue"]
