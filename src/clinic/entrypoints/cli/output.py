"""Prints the results of commands: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from cyclopts import Parameter

Row = Mapping[str, Any]
AsJson = Annotated[bool, Parameter(name="--json", negative="")]


def print_rows(
    rows: Sequence[Row], columns: Sequence[str], *, as_json: bool = False, more: bool = False
) -> None:
    """Print rows as a table of `columns`, or with all fields as a JSON array; `more`: there are
    rows beyond the limit."""
    if as_json:
        print(json.dumps(rows, indent=2, default=str))
    else:
        print_table(columns, [[_text(row[column]) for column in columns] for row in rows])
    if more:
        print("clinic: there is more; raise --limit or narrow the range", file=sys.stderr)


def print_row(row: Row, *, as_json: bool = False) -> None:
    """Print one row: a line for each field, or JSON."""
    if as_json:
        print(json.dumps(row, indent=2, default=str))
        return
    width = max(map(len, row))
    for name, value in row.items():
        print(f"{name:{width}}  {_text(value)}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a drawn table on a terminal, aligned plain text elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*columns)
        for row in rows:
            # As Text, since names may contain brackets, which rich would take for markup.
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for line in (columns, *rows):
        cells = (f"{cell:{width}}" for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def local(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return `instant` on the clinic's clock; a table shows it to the minute."""
    return instant.astimezone(zone)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%a %Y-%m-%d %H:%M}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(str(value).splitlines())


@contextmanager
def progress(what: str, of: str) -> Iterator[Callable[[int, int, int], None]]:
    """Yield a function that draws a progress bar on a terminal; elsewhere it draws nothing. It
    takes how many are done, how many there are, and the slots changed since the last call."""
    if not sys.stderr.isatty():
        yield lambda done, total, added: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, told="")
        slots = 0

        def tell(done: int, total: int, added: int) -> None:
            nonlocal slots
            slots += added
            told = f"{done:,} of {total:,} {of}, {slots:,} slots"
            bar.update(task, completed=done, total=total, told=told)

        yield tell
