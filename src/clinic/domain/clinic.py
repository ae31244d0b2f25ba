"""A clinic: its name, its time zone, and the policy that bounds bookings."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from clinic.domain.contact import Contact
from clinic.domain.errors import (
    BeyondHorizon,
    DatetimeOutOfRange,
    InsideCancelNotice,
    InsideNotice,
    InvalidInput,
    NaiveDatetime,
    SlotInPast,
    TooManyBookingsToday,
    TooManyOpenAppointments,
    TooManyWithDoctor,
    UnknownTimeZone,
)
from clinic.domain.text import checked_line, near_word

FIRST_YEAR, LAST_YEAR = 2000, 2199
NAME_MAX_CHARS = 200
NOTICE_MAX_MIN = 366 * 24 * 60
HORIZON_MAX_DAYS = 730
LEADS_MAX = 5
OPEN_APPOINTMENTS_MAX = 1000
TRAVEL_MAX_MIN = 480
#: the most places that a clinic may allow beside a doctor's hours at a time
SQUEEZE_MAX = 10
GRACE_MAX_MIN = 24 * 60
#: no day at a clinic is longer
_DAY_MAX = timedelta(hours=26)
ZONE_MAX_CHARS = 64
#: the IANA database's name for clocks that have not been set; no place uses it
NO_ZONE = "Factory"
# Files in the zone folder that follow the machine's own setting.
_MACHINES_OWN = ("localtime", "posixrules")
_ENCODED_WORD = re.compile(r"=\?.*\?=")


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo:
    """Return the zone called `name`, such as a clinic's. Raises UnknownTimeZone."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UnknownTimeZone(
            f"{name!r} is not a time zone that this machine knows.", pointer="/timeZone"
        ) from None


@lru_cache(maxsize=1)
def iana_zones() -> frozenset[str]:
    """Return the IANA zone names that may be chosen.

    They come from the package tzdata where it is installed, so that they are the same on every
    machine, whatever else its zone folder holds.
    """
    try:
        names = files("tzdata").joinpath("zones").read_text("utf-8").split()
    except (ModuleNotFoundError, OSError):
        names = [name for name in available_timezones() if name not in _MACHINES_OWN]
    return frozenset(names) - {NO_ZONE}


@lru_cache(maxsize=1024)
def checked_zone(name: str, pointer: str = "/timeZone") -> str:
    """Return `name` when it is exactly an IANA zone's. Raises UnknownTimeZone."""
    if name in iana_zones():
        return name
    near = near_word(name, iana_zones())
    hint = f"; did you mean {near}?" if near else "; write one such as Europe/London."
    raise UnknownTimeZone(
        f"{name[:ZONE_MAX_CHARS]!r} is not the name of an IANA time zone{hint}", pointer=pointer
    )


def checked_instant(value: datetime, pointer: str) -> datetime:
    """Return `value` when it has an offset, and its year is accepted both as written and in UTC, in
    which it is stored.

    Raises NaiveDatetime, DatetimeOutOfRange.
    """
    if value.tzinfo is None or value.utcoffset() is None:
        raise NaiveDatetime(pointer=pointer)
    # As it is written first: the year 1 or 9999 may have no equivalent in UTC.
    if not _is_accepted_year(value.year) or not _is_accepted_year(value.astimezone(UTC).year):
        raise DatetimeOutOfRange(pointer=pointer)
    return value


def _is_accepted_year(year: int) -> bool:
    return FIRST_YEAR <= year <= LAST_YEAR


def checked_date(value: date, pointer: str) -> date:
    """Return `value` when its year is accepted. Raises DatetimeOutOfRange."""
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise DatetimeOutOfRange(
            f"The date is too far off; years {FIRST_YEAR} to {LAST_YEAR} are accepted.",
            pointer=pointer,
        )
    return value


def checked_name(value: str, pointer: str = "/name") -> str:
    """Return `value` normalized for storage. Raises InvalidInput when it is empty, too long or has
    a character that is not accepted."""
    return checked_line(value, "name", max_chars=NAME_MAX_CHARS, pointer=pointer)


def check_for_headers(value: str, pointer: str = "/name") -> None:
    """Raise InvalidInput for text that mail programs would decode to something else when it is in
    an email's header (RFC 2047)."""
    if _ENCODED_WORD.search(value):
        raise InvalidInput(
            "=?…?= has a special meaning in emails; write the name without it.", pointer=pointer
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds a clinic sets on bookings."""

    #: minutes before its start until which a slot can be booked
    notice_min: int = 60
    #: how many days ahead bookings are taken
    horizon_days: int = 90
    #: minutes before the start until which patients may cancel, move or confirm themselves
    cancel_notice_min: int = 120
    #: minutes a held slot waits for its booking
    hold_min: int = 10
    #: minutes before the start at which reminders are due
    reminder_leads_min: tuple[int, ...] = (24 * 60, 2 * 60)
    #: upcoming appointments that one patient may have at a time
    max_open_appointments: int = 10
    #: minutes that doctors need from one of the clinic's locations to another
    travel_min: int = 0
    #: places that staff may add beside a doctor's hours at one time
    squeeze_max: int = 0
    #: the same with one doctor; None: no limit
    max_open_per_doctor: int | None = None
    #: how many appointments are booked for one patient on one day at the clinic, whatever becomes
    #: of them; None: no limit
    max_bookings_per_day: int | None = None
    #: minutes after booking in which patients may cancel or move in spite of the cancel notice
    cancel_grace_min: int = 0

    def __post_init__(self) -> None:
        bounds = (
            ("noticeMin", self.notice_min, 0, NOTICE_MAX_MIN),
            ("horizonDays", self.horizon_days, 1, HORIZON_MAX_DAYS),
            ("cancelNoticeMin", self.cancel_notice_min, 0, NOTICE_MAX_MIN),
            ("holdMin", self.hold_min, 1, 24 * 60),
            ("maxOpenAppointments", self.max_open_appointments, 1, OPEN_APPOINTMENTS_MAX),
            ("travelMin", self.travel_min, 0, TRAVEL_MAX_MIN),
            ("squeezeMax", self.squeeze_max, 0, SQUEEZE_MAX),
            ("maxOpenPerDoctor", self.max_open_per_doctor, 1, OPEN_APPOINTMENTS_MAX),
            ("maxBookingsPerDay", self.max_bookings_per_day, 1, OPEN_APPOINTMENTS_MAX),
            ("cancelGraceMin", self.cancel_grace_min, 0, GRACE_MAX_MIN),
        )
        for name, value, low, high in bounds:
            if value is not None and not low <= value <= high:
                raise InvalidInput(
                    f"{name} must be from {low} to {high}.", pointer=f"/policy/{name}"
                )
        leads = self.reminder_leads_min
        if len(leads) > LEADS_MAX or any(not 1 <= lead <= NOTICE_MAX_MIN for lead in leads):
            raise InvalidInput(
                f"Give at most {LEADS_MAX} reminder leads of 1 to {NOTICE_MAX_MIN} minutes.",
                pointer="/policy/reminderLeadsMin",
            )
        if len(set(leads)) != len(leads):
            raise InvalidInput(
                "Give each reminder lead only once.", pointer="/policy/reminderLeadsMin"
            )

    def bookable_window(self, now: datetime) -> tuple[datetime, datetime]:
        """Return the first and the last instant at which a slot booked at `now` may start."""
        return now + timedelta(minutes=self.notice_min), now + timedelta(days=self.horizon_days)

    def check_bookable(self, starts_at: datetime, now: datetime, *, override: bool = False) -> None:
        """Refuse a slot that starts in the past, inside the notice or beyond the horizon.

        `override` (staff only) waives notice and horizon, never the past.
        """
        if starts_at <= now:
            raise SlotInPast()
        if not override:
            self.check_notice(starts_at, now)
            self.check_horizon(starts_at, now)

    def check_notice(self, starts_at: datetime, now: datetime) -> None:
        """Refuse a slot that starts inside the notice."""
        if starts_at < now + timedelta(minutes=self.notice_min):
            raise InsideNotice(
                f"This clinic takes bookings until {self.notice_min} minutes before the start.",
                noticeMin=self.notice_min,
            )

    def check_horizon(self, starts_at: datetime, now: datetime) -> None:
        """Refuse a slot that starts beyond the horizon."""
        if starts_at > now + timedelta(days=self.horizon_days):
            raise BeyondHorizon(
                f"This clinic takes bookings up to {self.horizon_days} days ahead.",
                horizonDays=self.horizon_days,
            )

    def first_counted(self, starts_at: datetime) -> datetime:
        """Return an instant before the start of every appointment that counts towards the limits,
        for one that starts then: those ahead, and those that were booked today."""
        return starts_at - timedelta(days=self.horizon_days) - _DAY_MAX

    @property
    def has_further_limits(self) -> bool:
        """Whether more than `max_open_appointments` limits a patient's bookings."""
        return self.max_open_per_doctor is not None or self.max_bookings_per_day is not None

    def check_own_change(self, starts_at: datetime, booked_at: datetime, now: datetime) -> None:
        """Refuse a patient's own change later than the cancel notice before the start, unless it
        comes within the grace after booking and before the start."""
        grace_ends_at = booked_at + timedelta(minutes=self.cancel_grace_min)
        if now < min(grace_ends_at, starts_at):
            return
        if now > starts_at - timedelta(minutes=self.cancel_notice_min):
            raise InsideCancelNotice(
                f"Patients can change an appointment until {self.cancel_notice_min} minutes"
                " before its start; call the clinic.",
                cancelNoticeMin=self.cancel_notice_min,
            )


@dataclass(frozen=True, slots=True)
class Brakes:
    """What the limits on a patient's appointments are checked against, each None with fewer than
    the clinic allows."""

    #: when the patient's `max_open_appointments`-th latest open appointment starts
    full_until: datetime | None = None
    #: when the `max_open_per_doctor`-th latest of those with the doctor starts
    doctor_full_until: datetime | None = None
    #: when the patient's `max_bookings_per_day`-th latest appointment was booked
    day_full_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Clinic:
    """One clinic; every other row belongs to one.

    Input is checked by the use cases (usecases/contact_rules.py), not here, so that rows
    accepted under older rules can still be read.
    """

    id: UUID
    name: str
    #: IANA name
    time_zone: str
    policy: Policy = field(default_factory=Policy)
    #: the default when the clinic was read with a session, a booking or free slots, which need none
    contact: Contact = field(default_factory=Contact)

    @property
    def zone(self) -> ZoneInfo:
        return zone_named(self.time_zone)

    def without_contact(self) -> "Clinic":
        """Return the clinic as it is read with a session, a booking or free slots."""
        return replace(self, contact=Contact())

    def local_date(self, instant: datetime) -> date:
        """Return the day that `instant` falls on at the clinic."""
        return instant.astimezone(self.zone).date()

    def check_open_appointments(self, full_until: datetime | None, now: datetime) -> None:
        """Refuse another open appointment for a patient who has as many as this clinic allows;
        `full_until` as in Brakes. Raises TooManyOpenAppointments."""
        if full_until is not None and full_until > now:
            allowed = self.policy.max_open_appointments
            raise TooManyOpenAppointments(
                f"A patient of this clinic may have {allowed} appointments"
                " ahead; cancel one first, or ask the clinic.",
                maxOpenAppointments=allowed,
            )

    def check_open_with_doctor(self, full_until: datetime | None, now: datetime) -> None:
        """Refuse another open appointment with a doctor for a patient who has as many with them as
        this clinic allows; `full_until` is `doctor_full_until` of Brakes. Raises
        TooManyWithDoctor."""
        if full_until is not None and full_until > now:
            allowed = self.policy.max_open_per_doctor
            raise TooManyWithDoctor(
                f"A patient of this clinic may have {allowed} appointments"
                " ahead with one doctor; cancel one first, or ask the clinic.",
                maxOpenPerDoctor=allowed,
            )

    def check_bookings_today(self, full_since: datetime | None, now: datetime) -> None:
        """Refuse another booking for a patient for whom as many were made today as this clinic
        allows; `full_since` is `day_full_since` of Brakes. Raises TooManyBookingsToday."""
        if full_since is not None and self.local_date(full_since) == self.local_date(now):
            allowed = self.policy.max_bookings_per_day
            raise TooManyBookingsToday(
                f"This clinic takes {allowed} bookings a day for one patient;"
                " try again tomorrow, or ask the clinic.",
                maxBookingsPerDay=allowed,
            )
