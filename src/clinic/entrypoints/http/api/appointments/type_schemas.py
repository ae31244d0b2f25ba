"""Types of appointments on the wire."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from clinic.domain.appointments.types import AppointmentType, BookableBy, Offer
from clinic.domain.errors import InvalidInput
from clinic.entrypoints.http.api.schemas import Reason
from clinic.entrypoints.http.kernel.schemas import In, Out, Text, changes_in
from clinic.usecases.appointments.types import TypeChanged

Name = Annotated[
    Text, Meta(description="patients see it, and appointments keep it", examples=["Check-up"])
]
Length = Annotated[
    int, Meta(description="how long it lasts for the patient, in minutes: 5 to 480", examples=[40])
]
Before = Annotated[
    int, Meta(description="minutes that the doctor needs before it, at most 240", examples=[0])
]
After = Annotated[
    int, Meta(description="minutes that the doctor needs after it, at most 240", examples=[10])
]
Notice = Annotated[
    int | None,
    Meta(description="minutes ahead that patients must book; null is the clinic's", examples=[60]),
]
Horizon = Annotated[
    int | None,
    Meta(description="days ahead that it can be booked; null is the clinic's", examples=[90]),
]
Bookable = Annotated[
    Literal["patients", "known_patients", "staff"],
    Meta(
        description="who may book it besides staff: all patients, those with a completed"
        " appointment at the clinic, or nobody"
    ),
]
Instructions = Annotated[
    Text | None,
    Meta(description="what patients should know or bring", examples=["Bring your card."]),
]
Color = Annotated[Text | None, Meta(description="its color in the calendar", examples=["#2f6fde"])]
Needs = Annotated[
    tuple[Text, ...],
    Meta(
        max_length=10,
        description="kinds of rooms and equipment, of which each appointment has one, also in its"
        " buffers",
        examples=[["ultrasound room"]],
    ),
]
Default = Annotated[bool, Meta(description="booked when a request names no type")]
Active = Annotated[bool, Meta(description="whether it can be booked")]
OfferedBy = "doctors who offer it; null is every doctor of the clinic"

#: fields of bodies that a type has by the same name
_SAME_NAMES = (
    "name",
    "visible_min",
    "before_min",
    "after_min",
    "notice_min",
    "horizon_days",
    "instructions",
    "color",
    "needs",
)


class TypeOfferIn(In):
    """A doctor who offers a type."""

    doctor_id: UUID
    visible_min: Annotated[
        int | None,
        Meta(description="minutes that it lasts with this doctor; null is as long as the type"),
    ] = None


class TypeOfferOut(Out):
    doctor_id: UUID
    visible_min: int | None


TypeOffersIn = Annotated[tuple[TypeOfferIn, ...], Meta(max_length=1000, description=OfferedBy)]


class AppointmentTypeIn(In):
    name: Name
    visible_min: Length
    before_min: Before = 0
    after_min: After = 0
    notice_min: Notice = None
    horizon_days: Horizon = None
    bookable_by: Bookable = "patients"
    offered_by: TypeOffersIn | None = None
    instructions: Instructions = None
    color: Color = None
    needs: Needs = ()
    default: Default = False
    active: Active = True
    reason: Reason = UNSET


class ChangeAppointmentTypeIn(In):
    """Omitted members stay unchanged. `offeredBy` and `needs` replace the whole list."""

    name: Name | UnsetType = UNSET
    visible_min: Length | UnsetType = UNSET
    before_min: Before | UnsetType = UNSET
    after_min: After | UnsetType = UNSET
    notice_min: Notice | UnsetType = UNSET
    horizon_days: Horizon | UnsetType = UNSET
    bookable_by: Bookable | UnsetType = UNSET
    offered_by: TypeOffersIn | UnsetType | None = UNSET
    instructions: Instructions | UnsetType = UNSET
    color: Color | UnsetType = UNSET
    needs: Needs | UnsetType = UNSET
    default: Default | UnsetType = UNSET
    active: Active | UnsetType = UNSET
    reason: Reason = UNSET


class AppointmentTypeOut(Out):
    id: UUID
    name: Name
    visible_min: Length
    before_min: Before
    after_min: After
    notice_min: Notice
    horizon_days: Horizon
    bookable_by: Bookable
    offered_by: Annotated[list[TypeOfferOut] | None, Meta(description=OfferedBy)]
    instructions: Instructions
    color: Color
    needs: Needs
    default: Default
    active: Active

    @classmethod
    def of(cls, type: AppointmentType) -> Self:
        return cls(*_type(type))


class AppointmentTypeChangedOut(AppointmentTypeOut, omit_defaults=True):
    #: why nothing was changed
    note: str | None = None

    @classmethod
    def changed(cls, change: TypeChanged) -> Self:
        values = (*_type(change.type), change.note)
        return cls(*values)


def type_of(body: AppointmentTypeIn, *, id: UUID, clinic_id: UUID) -> AppointmentType:
    """Return the type that a body describes. Raises InvalidInput."""
    return AppointmentType(
        id,
        clinic_id,
        body.name,
        body.visible_min,
        body.before_min,
        body.after_min,
        body.notice_min,
        body.horizon_days,
        BookableBy(body.bookable_by.upper()),
        offers_of(body.offered_by),
        body.instructions,
        body.color,
        body.needs,
        is_default=body.default,
        is_active=body.active,
    )


def changes_of(body: ChangeAppointmentTypeIn) -> dict[str, Any]:
    """Return the fields of a type that a body changes, by name."""
    changes = changes_in(body, _SAME_NAMES)
    if body.bookable_by is not UNSET:
        changes["bookable_by"] = BookableBy(body.bookable_by.upper())
    if body.offered_by is not UNSET:
        changes["offered_by"] = offers_of(body.offered_by)
    if body.default is not UNSET:
        changes["is_default"] = body.default
    if body.active is not UNSET:
        changes["is_active"] = body.active
    return changes


def offers_of(offers: Iterable[TypeOfferIn] | None) -> tuple[Offer, ...] | None:
    """Return the offers that a body names."""
    if offers is None:
        return None
    return tuple(Offer(offer.doctor_id, offer.visible_min) for offer in offers)


def _type(type: AppointmentType) -> tuple[Any, ...]:
    offers = type.offered_by
    return (
        type.id,
        type.name,
        type.visible_min,
        type.before_min,
        type.after_min,
        type.notice_min,
        type.horizon_days,
        type.bookable_by.value.lower(),
        None
        if offers is None
        else [TypeOfferOut(one.doctor_id, one.visible_min) for one in offers],
        type.instructions,
        type.color,
        type.needs,
        type.is_default,
        type.is_active,
    )


def type_named(name: str | None, id: UUID | None, *, pointer: str = "typeId") -> str | UUID | None:
    """Return the type that a request names, by its name or its id. Raises InvalidInput."""
    if name is not None and id is not None:
        raise InvalidInput("Name the type by `type` or by `typeId`.", pointer=pointer)
    return name if id is None else id
