"""What the links in messages do: opening one shows what it would do, its form does it.

Mail scanners open every link they find, so opening must never act.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from clinic.domain.appointments import AppointmentView
from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicError, LinkInvalid, TemporaryFailure
from clinic.domain.links import Link, LinkSigner, Purpose, claimed
from clinic.domain.notifications import OPTIONAL
from clinic.domain.offers import LinkState, link_state
from clinic.domain.people import Actor, Role, Scope
from clinic.domain.status import Status
from clinic.ports.accounts import Account
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
    """What the page of a link about an appointment shows."""

    link: Link
    view: AppointmentView
    clinic: Clinic
    language: str
    state: LinkState
    #: where a move could go
    choices: Sequence[SlotView] = ()

    @property
    def purpose(self) -> Purpose:
        return self.link.purpose


@dataclass(frozen=True, slots=True)
class UnsubscribePage:
    """What the page of a link shows that stops messages of one kind."""

    link: Link
    family: str
    clinic: Clinic
    language: str


async def open_link(
    *, store: Store, signer: LinkSigner, clock: Clock, token: str, choices: bool = True
) -> LinkPage:
    """Return what the page of a link about an appointment shows; changes nothing.

    Raises LinkInvalid.
    """
    unproven = claimed(token)
    if unproven.purpose not in (*_TO, Purpose.MOVE):
        raise LinkInvalid()
    view = await store.appointments.get(Scope(unproven.clinic_id), unproven.subject_id)
    if view is None:
        raise LinkInvalid()
    appointment = view.appointment
    link = await _proven(token, appointment.patient_id, store=store, signer=signer, clock=clock)
    clinic, language = await _clinic_and_language(store, link.clinic_id, appointment.patient_id)
    page = LinkPage(
        link, view, clinic, language, link_state(link, appointment, clinic, clock.now())
    )
    if link.purpose is Purpose.MOVE and choices and page.state is LinkState.ASKS:
        return replace(page, choices=await _choices(store, page, clock))
    return page


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

    Where it can no longer be done, nothing is, and the page says why. Raises LinkInvalid, and what
    else the change refuses, such as SlotTaken.
    """
    page = await open_link(store=store, signer=signer, clock=clock, token=token, choices=False)
    if page.state is not LinkState.ASKS:
        return page
    appointment = page.view.appointment
    actor = Actor(appointment.patient_id, Role.PATIENT, appointment.clinic_id, request_id, ip)
    try:
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
    except TemporaryFailure:
        raise
    except ClinicError:
        # Somebody may have been faster: then the page says what it is by now.
        page = await open_link(store=store, signer=signer, clock=clock, token=token, choices=False)
        if page.state is LinkState.ASKS:
            raise
        return page
    return replace(page, view=view, state=LinkState.DONE)


async def open_unsubscribe(
    *, store: Store, signer: LinkSigner, clock: Clock, token: str
) -> UnsubscribePage:
    """Return whose messages of which kind the token stops; changes nothing. Raises LinkInvalid."""
    user_id = claimed(token).subject_id
    link = await _proven(token, user_id, store=store, signer=signer, clock=clock)
    families = {number: family for family, number in OPTIONAL.items()}
    if link.purpose is not Purpose.UNSUBSCRIBE or link.version not in families:
        raise LinkInvalid()
    clinic, language = await _clinic_and_language(store, link.clinic_id, user_id)
    return UnsubscribePage(link, families[link.version], clinic, language)


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
) -> UnsubscribePage:
    """Stop one kind of optional messages to one person, as that person; doing it twice changes
    nothing more. Raises LinkInvalid."""
    page = await open_unsubscribe(store=store, signer=signer, clock=clock, token=token)
    link, family = page.link, page.family

    async def work(unit: UnitOfWork) -> None:
        # Again under the lock: a link falls with the address, which may change meanwhile.
        account = await unit.accounts.lock(link.subject_id)
        role = _holder(token, account, signer=signer, clock=clock).user.role
        chosen = await store.outbox.preferences(link.clinic_id, link.subject_id)
        if family in chosen.opted_out:
            return
        await keep_choice(
            unit,
            replace(chosen, opted_out=chosen.opted_out | {family}),
            actor=Actor(link.subject_id, role, link.clinic_id, request_id, ip),
            action="unsubscribe",
            detail={"family": family},
            clock=clock,
            new_id=new_id,
        )

    await transactions.run(work)
    return page


async def clinic_of_link(token: str, *, store: Store) -> Clinic | None:
    """Return the clinic that a link names which does not hold, so that its page can say whom to
    call; nothing else of such a link is used."""
    try:
        return await store.people.clinic(claimed(token).clinic_id)
    except LinkInvalid:
        return None


async def _proven(
    token: str, user_id: UUID, *, store: Store, signer: LinkSigner, clock: Clock
) -> Link:
    """Return the link, if it was mailed to this person at the address they have. Raises
    LinkInvalid."""
    account = await store.accounts.account(user_id)
    _holder(token, account, signer=signer, clock=clock)
    return claimed(token)


def _holder(token: str, account: Account | None, *, signer: LinkSigner, clock: Clock) -> Account:
    """Return the account, if the token was mailed to its address. Raises LinkInvalid."""
    if account is None or account.disabled_at is not None:
        raise LinkInvalid()
    signer.read_mailed(
        token,
        email=account.user.email,
        link_version=account.link_version,
        unbound_link_version=account.unbound_link_version,
        now=clock.now(),
    )
    return account


async def _clinic_and_language(store: Store, clinic_id: UUID, user_id: UUID) -> tuple[Clinic, str]:
    clinic = await store.people.clinic(clinic_id)
    if clinic is None:
        raise LinkInvalid()
    return clinic, (await store.outbox.preferences(clinic_id, user_id)).language


async def _choices(store: Store, page: LinkPage, clock: Clock) -> Sequence[SlotView]:
    appointment = page.view.appointment
    slot = await store.calendars.slot(page.link.clinic_id, appointment.slot_id)
    if slot is None:
        return ()
    earliest, latest = page.clinic.policy.bookable_window(clock.now())
    return await store.calendars.nearest_free(
        slot.slot,
        starts_from=earliest,
        starts_before=min(latest, appointment.starts_at + CHOICES_WITHIN),
        limit=CHOICES,
    )
