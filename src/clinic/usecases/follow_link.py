"""What the links in messages do: opening one shows what it would do, its form does it.

Mail scanners open every link they find, so opening must never act.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from clinic.domain.appointments import AppointmentView
from clinic.domain.deliveries import Preferences
from clinic.domain.errors import LinkInvalid, LinkOutdated
from clinic.domain.links import Link, LinkSigner, Purpose
from clinic.domain.notifications import OPTIONAL
from clinic.domain.people import Actor, Role, Scope
from clinic.domain.status import Status
from clinic.ports.calendars import SlotView
from clinic.ports.clock import Clock, IdSource
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.usecases.change_appointment import change_status, reschedule
from clinic.usecases.choose_notifications import keep_choice
from clinic.usecases.transactions import Commits, Transactions

#: slots that a page offers to move into
CHOICES = 8
CHOICES_WITHIN = timedelta(days=28)
REASON = "By the link in a message"

_TO = {Purpose.CONFIRM: Status.CONFIRMED, Purpose.CANCEL: Status.CANCELLED}


@dataclass(frozen=True, slots=True)
class LinkPage:
    """What a link's page shows."""

    purpose: Purpose
    view: AppointmentView
    preferences: Preferences
    clinic_name: str
    #: what the link asks for is so already
    done: bool
    #: where a move could go
    choices: Sequence[SlotView] = ()


async def open_link(
    *, store: Store, signer: LinkSigner, clock: Clock, token: str, choices: bool = True
) -> LinkPage:
    """Return what the page of a link about an appointment shows; changes nothing.

    Raises LinkInvalid, LinkOutdated.
    """
    link = signer.read(token, now=clock.now())
    if link.purpose not in (*_TO, Purpose.MOVE):
        raise LinkInvalid()
    view = await store.appointments.get(Scope(link.clinic_id), link.subject_id)
    clinic = await store.people.clinic(link.clinic_id)
    if view is None or clinic is None:
        raise LinkInvalid()
    done = _is_done(link, view)
    if not done and view.appointment.schedule_version != link.version:
        raise LinkOutdated()
    chosen = await store.outbox.preferences(link.clinic_id, view.appointment.patient_id)
    offered: Sequence[SlotView] = ()
    if link.purpose is Purpose.MOVE and choices and not done:
        slot = await store.calendars.slot(link.clinic_id, view.appointment.slot_id)
        earliest, latest = clinic.policy.bookable_window(clock.now())
        if slot is not None:
            offered = await store.calendars.nearest_free(
                slot.slot,
                starts_from=earliest,
                starts_before=min(latest, view.appointment.starts_at + CHOICES_WITHIN),
                limit=CHOICES,
            )
    return LinkPage(link.purpose, view, chosen, clinic.name, done, offered)


async def follow_link(
    *,
    store: Store,
    transactions: Transactions,
    signer: LinkSigner,
    clock: Clock,
    new_id: IdSource,
    token: str,
    slot_id: UUID | None = None,
    request_id: str | None = None,
    ip: str | None = None,
) -> LinkPage:
    """Do what the link is for, as the appointment's patient; doing it twice changes nothing more.

    Raises LinkInvalid, LinkOutdated, and what the change itself refuses.
    """
    page = await open_link(store=store, signer=signer, clock=clock, token=token, choices=False)
    if page.done:
        return page
    appointment = page.view.appointment
    actor = Actor(appointment.patient_id, Role.PATIENT, appointment.clinic_id, request_id, ip)
    if page.purpose is Purpose.MOVE:
        if slot_id is None:
            raise LinkInvalid("Choose one of the times.")
        view = await reschedule(
            transactions=transactions,
            clock=clock,
            new_id=new_id,
            actor=actor,
            appointment_id=appointment.id,
            slot_id=slot_id,
            reason=REASON,
            expected_version=appointment.version,
        )
    else:
        view = await change_status(
            transactions=transactions,
            clock=clock,
            new_id=new_id,
            actor=actor,
            appointment_id=appointment.id,
            to=_TO[page.purpose],
            reason=REASON,
            expected_version=appointment.version,
        )
    return LinkPage(page.purpose, view, page.preferences, page.clinic_name, done=True)


async def open_unsubscribe(*, signer: LinkSigner, clock: Clock, token: str) -> tuple[Link, str]:
    """Return what the token says and the kind of messages it stops. Raises LinkInvalid."""
    link = signer.read(token, now=clock.now())
    families = {number: family for family, number in OPTIONAL.items()}
    if link.purpose is not Purpose.UNSUBSCRIBE or link.version not in families:
        raise LinkInvalid()
    return link, families[link.version]


async def unsubscribe(
    *,
    store: Store,
    transactions: Commits[None],
    signer: LinkSigner,
    clock: Clock,
    new_id: IdSource,
    token: str,
    request_id: str | None = None,
    ip: str | None = None,
) -> str:
    """Stop one kind of optional messages to one person, as that person, and return it; doing it
    twice changes nothing more. Raises LinkInvalid."""
    link, family = await open_unsubscribe(signer=signer, clock=clock, token=token)

    async def work(unit: UnitOfWork) -> None:
        account = await unit.accounts.lock(link.subject_id)
        if account is None:
            raise LinkInvalid()
        chosen = await store.outbox.preferences(link.clinic_id, link.subject_id)
        if family in chosen.opted_out:
            return
        await keep_choice(
            unit,
            replace(chosen, opted_out=chosen.opted_out | {family}),
            actor=Actor(link.subject_id, account.user.role, link.clinic_id, request_id, ip),
            action="unsubscribe",
            detail={"family": family},
            clock=clock,
            new_id=new_id,
        )

    await transactions.run(work)
    return family


def _is_done(link: Link, view: AppointmentView) -> bool:
    appointment = view.appointment
    if link.purpose is Purpose.CONFIRM:
        same = appointment.schedule_version == link.version
        return same and appointment.status is Status.CONFIRMED
    # A cancellation has raised the version that the link was made for by one.
    if link.purpose is Purpose.CANCEL:
        after = appointment.schedule_version == link.version + 1
        return after and appointment.status is Status.CANCELLED
    return False
