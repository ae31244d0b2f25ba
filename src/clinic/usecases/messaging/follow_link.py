"""What the links in messages do: opening one shows what it would do, and its form does it.

Mail scanners open every link they find, so opening must never act.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.calendar.locations import Location
from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicError, LinkInvalid, TemporaryFailure
from clinic.domain.links import Link, LinkSigner, Purpose, claimed
from clinic.domain.messaging.link_offers import LinkState, link_state
from clinic.domain.notifications import OPTIONAL
from clinic.domain.people.people import Role, Scope
from clinic.domain.status import Status
from clinic.ports.accounts import Account
from clinic.ports.calendars import SlotView
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.usecases.appointments.change_appointment import change_status, reschedule
from clinic.usecases.context import AnonymousContext
from clinic.usecases.messaging.choose_notifications import keep_choice

#: slots that a page offers to move into
CHOICES = 8
CHOICES_WITHIN = timedelta(days=28)
REASON = "By the link in a message"

_TO = {Purpose.CONFIRM: Status.CONFIRMED, Purpose.CANCEL: Status.CANCELLED}


@dataclass(frozen=True, slots=True)
class LinkPage:
    """What the page behind an appointment's link shows."""

    link: Link
    view: AppointmentView
    clinic: Clinic
    language: str
    state: LinkState
    #: slots that the appointment could move into
    choices: Sequence[SlotView] = ()
    #: those of the clinic, if the appointment or a choice is at one
    locations: Mapping[UUID, Location] = field(default_factory=dict)

    @property
    def purpose(self) -> Purpose:
        return self.link.purpose

    @property
    def location(self) -> Location | None:
        """Where the appointment is; None is the clinic's own address."""
        return self.location_of(self.view.location_id)

    def location_of(self, location_id: UUID | None) -> Location | None:
        return None if location_id is None else self.locations.get(location_id)


@dataclass(frozen=True, slots=True)
class UnsubscribePage:
    """What the page behind an unsubscribe link shows."""

    link: Link
    family: str
    clinic: Clinic
    language: str


async def open_link(
    context: AnonymousContext, token: str, *, signer: LinkSigner, choices: bool = True
) -> LinkPage:
    """Return what the page behind an appointment's link shows; changes nothing.

    Raises LinkInvalid.
    """
    unproven = claimed(token)
    if unproven.purpose not in (*_TO, Purpose.MOVE):
        raise LinkInvalid()
    view = await context.store.appointments.get(Scope(unproven.clinic_id), unproven.subject_id)
    if view is None:
        raise LinkInvalid()
    appointment = view.appointment
    link = await _proven(context, token, appointment.patient_id, signer=signer)
    clinic, language = await _clinic_and_language(context, link.clinic_id, appointment.patient_id)
    page = LinkPage(
        link, view, clinic, language, link_state(link, appointment, clinic, context.clock.now())
    )
    if link.purpose is Purpose.MOVE and choices and page.state is LinkState.ASKS:
        page = replace(page, choices=await _choices(context, page))
    return await _with_locations(context, page)


async def follow_link(
    context: AnonymousContext, token: str, *, signer: LinkSigner, slot_id: UUID | None = None
) -> LinkPage:
    """Do what the link is for, as the appointment's patient; doing it twice changes nothing more.

    When it can no longer be done, nothing is changed, and the page says why. Raises LinkInvalid and
    the errors of the change itself, such as SlotTaken.
    """
    page = await open_link(context, token, signer=signer, choices=False)
    if page.state is not LinkState.ASKS:
        return page
    appointment = page.view.appointment
    acting = context.acting_as(
        appointment.patient_id, Role.PATIENT, appointment.clinic_id, reason=REASON
    )
    try:
        if page.purpose is Purpose.MOVE:
            if slot_id is None:
                raise LinkInvalid("Choose one of the times.")
            view = await reschedule(
                acting,
                appointment.id,
                slot_id=slot_id,
                expected_version=appointment.version,
            )
        else:
            view = await change_status(
                acting,
                appointment.id,
                to=_TO[page.purpose],
                expected_version=appointment.version,
            )
    except TemporaryFailure:
        raise
    except ClinicError:
        # A concurrent change may have come first: then the page shows its result.
        page = await open_link(context, token, signer=signer, choices=False)
        if page.state is LinkState.ASKS:
            raise
        return page
    return await _with_locations(context, replace(page, view=view, state=LinkState.DONE))


async def open_unsubscribe(
    context: AnonymousContext, token: str, *, signer: LinkSigner
) -> UnsubscribePage:
    """Return whose messages of which kind the token would stop. Raises LinkInvalid."""
    user_id = claimed(token).subject_id
    link = await _proven(context, token, user_id, signer=signer)
    families = {number: family for family, number in OPTIONAL.items()}
    if link.purpose is not Purpose.UNSUBSCRIBE or link.version not in families:
        raise LinkInvalid()
    clinic, language = await _clinic_and_language(context, link.clinic_id, user_id)
    return UnsubscribePage(link, families[link.version], clinic, language)


async def unsubscribe(
    context: AnonymousContext, token: str, *, signer: LinkSigner
) -> UnsubscribePage:
    """Stop one kind of optional messages to one person, as that person; doing it twice changes
    nothing more. Raises LinkInvalid."""
    page = await open_unsubscribe(context, token, signer=signer)
    link, family = page.link, page.family

    async def work(unit: UnitOfWork) -> None:
        # Check again under the lock: the address that the link depends on may have changed.
        account = await unit.accounts.lock(link.subject_id)
        role = _holder(context, token, account, signer=signer).user.role
        chosen = await context.store.outbox.preferences(link.clinic_id, link.subject_id)
        if family in chosen.opted_out:
            return
        await keep_choice(
            context.acting_as(link.subject_id, role, link.clinic_id),
            unit,
            replace(chosen, opted_out=chosen.opted_out | {family}),
            action="unsubscribe",
            detail={"family": family},
        )

    await context.transactions.run(work)
    return page


async def clinic_of_link(token: str, *, store: Store) -> Clinic | None:
    """Return the clinic that an invalid link names, so that its page can show the clinic's phone
    number; nothing else of such a link is used."""
    try:
        return await store.people.clinic(claimed(token).clinic_id)
    except LinkInvalid:
        return None


async def _proven(
    context: AnonymousContext, token: str, user_id: UUID, *, signer: LinkSigner
) -> Link:
    """Return the link, if it was mailed to this person at their current address. Raises
    LinkInvalid."""
    account = await context.store.accounts.account(user_id)
    _holder(context, token, account, signer=signer)
    return claimed(token)


def _holder(
    context: AnonymousContext, token: str, account: Account | None, *, signer: LinkSigner
) -> Account:
    """Return the account, if the token was mailed to its address. Raises LinkInvalid."""
    if account is None or account.disabled_at is not None:
        raise LinkInvalid()
    signer.read_mailed(
        token,
        email=account.user.email,
        link_version=account.link_version,
        unbound_link_version=account.unbound_link_version,
        now=context.clock.now(),
    )
    return account


async def _clinic_and_language(
    context: AnonymousContext, clinic_id: UUID, user_id: UUID
) -> tuple[Clinic, str]:
    clinic = await context.store.people.clinic(clinic_id)
    if clinic is None:
        raise LinkInvalid()
    return clinic, (await context.store.outbox.preferences(clinic_id, user_id)).language


async def _choices(context: AnonymousContext, page: LinkPage) -> Sequence[SlotView]:
    appointment = page.view.appointment
    slot = await context.store.calendars.slot(page.link.clinic_id, appointment.slot_id)
    if slot is None:
        return ()
    earliest, latest = page.clinic.policy.bookable_window(context.clock.now())
    return await context.store.calendars.nearest_free(
        slot.slot,
        starts_from=earliest,
        starts_before=min(latest, appointment.starts_at + CHOICES_WITHIN),
        limit=CHOICES,
    )


async def _with_locations(context: AnonymousContext, page: LinkPage) -> LinkPage:
    """Return the page with the clinic's locations, if anything on it is at one."""
    shown = {page.view.location_id, *(choice.slot.location_id for choice in page.choices)}
    if shown == {None}:
        return page
    found = await context.store.locations.all(page.link.clinic_id)
    return replace(page, locations={one.id: one for one in found})
