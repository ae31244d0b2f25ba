"""What Redis does in one step. Its own clock says what is due: one clock for all workers."""

from importlib.resources import files


def load(name: str) -> str:
    """Return the Lua script of that name."""
    return files(__name__).joinpath(f"{name}.lua").read_text(encoding="utf-8")
