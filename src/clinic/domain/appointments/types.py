"""Types of appointments: how long they last, who offers them, and who may book them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from clinic.domain.appointments.resources import checked_needs, occasion_of
from clinic.domain.calendar.availability import SLOT_MAX_MIN, SLOT_MIN_MIN, Interval
from clinic.domain.clinic import HORIZON_MAX_DAYS, NOTICE_MAX_MIN, Clinic, Policy
from clinic.domain.errors import InvalidInput, TypeTooLong
from clinic.domain.people.people import Role
from clinic.domain.text import checked_line, plain_line

TYPE_MAX_CHARS = 80
#: the longest time that a type keeps free before an appointment, and after it
BUFFER_MAX_MIN = 240
#: the longest time that a type keeps the doctor, buffers included
BUSY_MAX_MIN = 720
INSTRUCTIONS_MAX_CHARS = 1_000
#: doctors that one type may name
OFFERS_MAX = 1_000
#: active types of a clinic
TYPES_MAX = 200
_COLOR = re.compile(r"#[0-9a-f]{6}\Z")


class BookableBy(StrEnum):
    """Who may book a type; staff always may."""

    PATIENTS = "PATIENTS"
    #: patients with an appointment at the clinic that is completed
    KNOWN_PATIENTS = "KNOWN_PATIENTS"
    STAFF = "STAFF"


@dataclass(frozen=True, slots=True)
class TypeAsked:
    """The type that a request names: by id, by name, or not at all, which means the default."""

    id: UUID | None = None
    name: str | None = None


NO_TYPE = TypeAsked()


def asked_for(type: "str | UUID | None") -> TypeAsked:
    """Return the type that is asked for by its name or id. Raises InvalidInput."""
    return TypeAsked(type) if isinstance(type, UUID) else TypeAsked(name=checked_type(type))


def chosen_type(types: "Iterable[AppointmentType]", asked: TypeAsked) -> "AppointmentType | None":
    """Return the type that is asked for, of a clinic's active ones; None when it has none such."""
    for type in types:
        if asked.id is not None:
            is_asked_for = type.id == asked.id
        else:
            is_asked_for = type.is_default if asked.name is None else type.is_called(asked.name)
        if is_asked_for:
            return type
    return None


@dataclass(frozen=True, slots=True)
class Offer:
    """A doctor who offers a type."""

    doctor_id: UUID
    #: how long an appointment lasts with this doctor, in minutes; None is as long as the type
    visible_min: int | None = None


@dataclass(frozen=True, slots=True)
class AppointmentType:
    """What can be booked, such as a check-up of 40 minutes with 10 minutes for cleaning after it.

    Raises InvalidInput.
    """

    id: UUID
    clinic_id: UUID
    #: shown to patients; appointments keep it as their `type`
    name: str
    #: how long an appointment lasts for the patient, in minutes
    visible_min: int
    #: minutes that the doctor needs before and after it
    before_min: int = 0
    after_min: int = 0
    #: None is the clinic's
    notice_min: int | None = None
    horizon_days: int | None = None
    bookable_by: BookableBy = BookableBy.PATIENTS
    #: None is every doctor of the clinic
    offered_by: tuple[Offer, ...] | None = None
    #: what patients should know or bring; in the confirmation and reminders
    instructions: str | None = None
    #: in the calendar, such as #2f6fde
    color: str | None = None
    #: kinds of resources, sorted: an appointment has one of each for as long as it is busy
    needs: tuple[str, ...] = ()
    #: booked when a request names no type; at most one active type of a clinic
    is_default: bool = False
    #: whether it can be booked; appointments keep an inactive one
    is_active: bool = True

    def __post_init__(self) -> None:
        name = checked_line(self.name, "name", max_chars=TYPE_MAX_CHARS, pointer="/name")
        object.__setattr__(self, "name", name)
        for pointer, value, low, high in (
            ("/visibleMin", self.visible_min, SLOT_MIN_MIN, SLOT_MAX_MIN),
            ("/beforeMin", self.before_min, 0, BUFFER_MAX_MIN),
            ("/afterMin", self.after_min, 0, BUFFER_MAX_MIN),
            ("/noticeMin", self.notice_min, 0, NOTICE_MAX_MIN),
            ("/horizonDays", self.horizon_days, 1, HORIZON_MAX_DAYS),
        ):
            if value is not None and not low <= value <= high:
                raise InvalidInput(f"Give a number from {low} to {high}.", pointer=pointer)
        if self.offered_by is not None:
            object.__setattr__(self, "offered_by", _checked_offers(self.offered_by))
        if max(self.lengths_min) + self.before_min + self.after_min > BUSY_MAX_MIN:
            raise InvalidInput(
                "The type and the time before and after it take at most"
                f" {BUSY_MAX_MIN} minutes together.",
                pointer="/beforeMin",
            )
        if self.instructions is not None:
            text = checked_line(
                self.instructions,
                "text",
                max_chars=INSTRUCTIONS_MAX_CHARS,
                pointer="/instructions",
            )
            object.__setattr__(self, "instructions", text)
        object.__setattr__(self, "needs", checked_needs(self.needs))
        if self.color is not None and not _COLOR.match(self.color):
            raise InvalidInput("Write the color such as #2f6fde.", pointer="/color")

    @property
    def lengths_min(self) -> tuple[int, ...]:
        """How long it lasts, in minutes: by itself, and with each doctor who is named."""
        offers = self.offered_by or ()
        return self.visible_min, *(offer.visible_min or self.visible_min for offer in offers)

    def visible_min_with(self, doctor_id: UUID) -> int | None:
        """Return how long it lasts with this doctor; None when the doctor does not offer it."""
        if self.offered_by is None:
            return self.visible_min
        for offer in self.offered_by:
            if offer.doctor_id == doctor_id:
                return offer.visible_min or self.visible_min
        return None

    def is_shown_to(self, role: Role) -> bool:
        """Return whether people in this role see it: patients, those that patients may book."""
        if role is not Role.PATIENT:
            return True
        return self.is_active and self.bookable_by is not BookableBy.STAFF

    @property
    def has_buffers(self) -> bool:
        return bool(self.before_min or self.after_min)

    @property
    def is_of_slots_alone(self) -> bool:
        """Whether free slots alone say where it fits."""
        return not self.has_buffers and not self.needs

    def policy_at(self, clinic: Clinic) -> Policy:
        """Return the clinic's policy with the notice and horizon of this type."""
        policy = clinic.policy
        if self.notice_min is None and self.horizon_days is None:
            return policy
        return replace(
            policy,
            notice_min=policy.notice_min if self.notice_min is None else self.notice_min,
            horizon_days=self.horizon_days or policy.horizon_days,
        )

    def is_called(self, name: str) -> bool:
        """Return whether this is its name, whatever the case and the way in which it is encoded."""
        return self.name.casefold() == plain_line(name).casefold()

    def occasion(self, doctor_id: UUID, starts_at: datetime) -> UUID:
        """Return the occasion of appointments with this doctor that begin then."""
        return occasion_of(doctor_id, starts_at, self.id)

    def busy(self, visible: Interval) -> Interval:
        """Return the time for which an appointment with this visible time keeps the doctor."""
        return Interval(
            visible.starts_at - timedelta(minutes=self.before_min),
            visible.ends_at + timedelta(minutes=self.after_min),
        )


def check_fits(type: AppointmentType, stretches_min: Mapping[UUID, int]) -> None:
    """Raise TypeTooLong when no doctor who offers the type has hours that it fits into.

    `stretches_min` has the longest stretch of hours of each doctor, 0 for one without hours, who
    does not count: hours may be entered after types.
    """
    offered = [
        (longest_min, length_min)
        for doctor_id, longest_min in stretches_min.items()
        if longest_min and (length_min := type.visible_min_with(doctor_id)) is not None
    ]
    if offered and all(length_min > longest_min for longest_min, length_min in offered):
        longest_min = max(offered)[0]
        raise TypeTooLong(
            "No doctor who offers this type has hours that long: the longest last"
            f" {longest_min} minutes without a break.",
            pointer="/visibleMin",
            longestMin=longest_min,
        )


def _checked_offers(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Return the offers by doctor. Raises InvalidInput."""
    by_doctor: dict[UUID, Offer] = {}
    for place, offer in enumerate(offers):
        minutes = offer.visible_min
        if minutes is not None and not SLOT_MIN_MIN <= minutes <= SLOT_MAX_MIN:
            raise InvalidInput(
                f"Give a number from {SLOT_MIN_MIN} to {SLOT_MAX_MIN}.",
                pointer=f"/offeredBy/{place}/visibleMin",
            )
        if offer.doctor_id in by_doctor:
            raise InvalidInput("The doctor is named twice.", pointer=f"/offeredBy/{place}/doctorId")
        by_doctor[offer.doctor_id] = offer
    if len(by_doctor) > OFFERS_MAX:
        raise InvalidInput(f"Name at most {OFFERS_MAX} doctors.", pointer="/offeredBy")
    return tuple(by_doctor[each] for each in sorted(by_doctor))


def checked_type(value: str | None) -> str | None:
    """Return the name of a type in the form to store. Raises InvalidInput."""
    if value is None:
        return None
    return checked_line(value, "type", max_chars=TYPE_MAX_CHARS, pointer="/type")
