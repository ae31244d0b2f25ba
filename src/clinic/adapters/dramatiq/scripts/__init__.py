"""Lua scripts that Redis runs atomically. Its clock decides what is due, for all workers alike."""

from importlib.resources import files


def load(name: str) -> str:
    """Return the Lua script `name`."""
    return files(__name__).joinpath(f"{name}.lua").read_text(encoding="utf-8")
