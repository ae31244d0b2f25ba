"""The MetaData, and shorthands for the usual columns and constraints."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    Uuid,
    event,
    func,
    text,
)
from sqlalchemy.sql.elements import TextClause

metadata = MetaData()


def one_of(values: Iterable[str]) -> str:
    """Return the values as a list for SQL's IN."""
    return "(" + ", ".join(f"'{value}'" for value in values) + ")"


def id_(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Uuid(), nullable=nullable)


def text_(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Text(), nullable=nullable)


def int_(name: str, *, nullable: bool = False, default: TextClause | None = None) -> Column[Any]:
    return Column(name, Integer(), nullable=nullable, server_default=default)


def instant(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def created_at() -> Column[Any]:
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def check(name: str, condition: str) -> CheckConstraint:
    return CheckConstraint(condition, name=name)


def key(name: str, *columns: str) -> PrimaryKeyConstraint:
    return PrimaryKeyConstraint(*columns, name=name)


def references(
    name: str, columns: list[str], table: str, to: list[str], onupdate: str | None = None
) -> ForeignKeyConstraint:
    """Return a foreign key to the columns `to` of `table`."""
    targets = [f"{table}.{column}" for column in to]
    return ForeignKeyConstraint(columns, targets, name=name, onupdate=onupdate)


def at_location(constraint: str) -> tuple[Column[Any], ForeignKeyConstraint]:
    """Return a column for a location of the clinic, which may be NULL, and its foreign key."""
    columns = ["clinic_id", "location_id"]
    key = references(constraint, columns, "locations", ["clinic_id", "id"])
    return id_("location_id", nullable=True), key


def lane() -> Column[Any]:
    """Return a column for the lane of a doctor's calendar: places beside each other, from 1."""
    return Column("lane", SmallInteger(), nullable=False, server_default=text("1"))


#: Keys of exclusion constraints as one bigint each, which costs a booking less than the columns. A
#: collision refuses a booking only if the times overlap as well.
PAIR_KEY, LANE_KEY = "clinic_pair_key", "clinic_lane_key"
_FUNCTIONS = {
    PAIR_KEY: ("uuid, uuid", "uuid_hash_extended($1, uuid_hash_extended($2, 0))"),
    LANE_KEY: ("uuid, uuid, smallint", "uuid_hash_extended($1, uuid_hash_extended($2, $3))"),
}
for _name, (_arguments, _value) in _FUNCTIONS.items():
    event.listen(
        metadata,
        "before_create",
        DDL(  # type: ignore[no-untyped-call]
            f"CREATE OR REPLACE FUNCTION {_name}({_arguments}) RETURNS bigint"
            f" LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN {_value}"
        ),
    )

#: the time of an appointment or slot, as an exclusion constraint compares it
TIME_RANGE = "tstzrange(starts_at, ends_at, '[)')"
#: the time for which an appointment keeps its doctor's lane: its visible time, and buffers
BUSY_RANGE = "tstzrange(busy_from, busy_until, '[)')"

#: a number, not an xid8: only numbers have an index that costs nothing to maintain
THIS_TRANSACTION = "(pg_current_xact_id()::text)::bigint"


def xid(*, nullable: bool = False) -> Column[Any]:
    """Return a column for the number of the transaction that wrote the row.

    Seals are cut by it; the application must not set it.
    """
    return Column("xid", BigInteger(), nullable=nullable, server_default=text(THIS_TRANSACTION))


def erasable(text_name: str) -> tuple[Column[Any], Column[Any]]:
    """Return the columns that are sealed in place of an erasable text; a trigger sets both."""
    return (
        Column(f"{text_name}_salt", LargeBinary()),
        Column(f"{text_name}_digest", LargeBinary()),
    )
