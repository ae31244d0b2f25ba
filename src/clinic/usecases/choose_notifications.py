"""What a person wants of messages: language, channel, and which optional kinds not."""

from collections.abc import Iterable, Mapping
from typing import Any

from clinic.domain.audit import event_by
from clinic.domain.contact import LANGUAGES
from clinic.domain.deliveries import Preferences
from clinic.domain.errors import InvalidInput
from clinic.domain.notifications import CHANNELS, OPTIONAL
from clinic.domain.people import Actor, Role
from clinic.domain.permissions import Operation, permit
from clinic.domain.text import words_told
from clinic.ports.clock import Clock, IdSource
from clinic.ports.outbox import Outbox
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.transactions import Commits


async def read_preferences(*, outbox: Outbox, actor: Actor) -> Preferences:
    """Return what the actor chose at this clinic. Raises PermissionDenied."""
    permit(actor, Operation.MANAGE_OWN_ACCOUNT)
    return await outbox.preferences(actor.clinic_id, actor.user_id)


async def choose_preferences(
    *,
    outbox: Outbox,
    transactions: Commits[Preferences],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    language: str,
    channel: str,
    opted_out: Iterable[str],
) -> Preferences:
    """Return the actor's choice, kept. Raises PermissionDenied, InvalidInput."""
    permit(actor, Operation.MANAGE_OWN_ACCOUNT)
    if language not in LANGUAGES:
        raise InvalidInput(
            f"There is no language {language!r}; {words_told(language, LANGUAGES)}",
            pointer="/language",
        )
    if channel not in CHANNELS:
        raise InvalidInput(
            f"There is no channel {channel!r}; {words_told(channel, CHANNELS)}", pointer="/channel"
        )
    unwanted = frozenset(opted_out)
    if not unwanted <= OPTIONAL.keys():
        raise InvalidInput(
            f"Only these can be turned off: {', '.join(OPTIONAL)}.", pointer="/optedOut"
        )
    preferences = Preferences(language, channel, unwanted)

    async def work(unit: UnitOfWork) -> Preferences:
        await unit.accounts.lock(actor.user_id)
        before = await outbox.preferences(actor.clinic_id, actor.user_id)
        changed = [
            name
            for name in ("language", "channel", "opted_out")
            if getattr(before, name) != getattr(preferences, name)
        ]
        if changed:
            await keep_choice(
                unit,
                preferences,
                actor=actor,
                action="choose_notifications",
                detail={"changed": changed},
                clock=clock,
                new_id=new_id,
            )
        return preferences

    return await transactions.run(work)


async def keep_choice(
    unit: UnitOfWork,
    preferences: Preferences,
    *,
    actor: Actor,
    action: str,
    detail: Mapping[str, Any],
    clock: Clock,
    new_id: IdSource,
) -> None:
    """Keep the actor's own choice and its audit event. The account must be locked, so that of two
    choices at once none is lost."""
    await unit.messages.choose(actor.clinic_id, actor.user_id, preferences)
    await unit.events.add(
        event_by(
            actor,
            action,
            "notification_preferences",
            actor.user_id,
            now=clock.now(),
            event_id=new_id(),
            detail=detail,
            patient_id=actor.user_id if actor.role is Role.PATIENT else None,
        )
    )
