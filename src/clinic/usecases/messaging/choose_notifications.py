"""A person's preferences for messages: language, channel, and unwanted optional kinds."""

from collections.abc import Iterable, Mapping
from typing import Any

from clinic.domain.contact import LANGUAGES
from clinic.domain.errors import InvalidInput
from clinic.domain.messaging.deliveries import Preferences
from clinic.domain.notifications import CHANNELS, OPTIONAL
from clinic.domain.people.people import Role
from clinic.domain.permissions import Operation, permit
from clinic.domain.text import words_told
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.context import Context


async def read_preferences(context: Context) -> Preferences:
    """Return the actor's preferences at this clinic. Raises PermissionDenied."""
    permit(context.actor, Operation.MANAGE_OWN_ACCOUNT)
    return await context.store.outbox.preferences(context.actor.clinic_id, context.actor.user_id)


async def choose_preferences(
    context: Context, *, language: str, channel: str, opted_out: Iterable[str]
) -> Preferences:
    """Store the actor's preferences and return them. Raises PermissionDenied, InvalidInput."""
    permit(context.actor, Operation.MANAGE_OWN_ACCOUNT)
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
        await unit.accounts.lock(context.actor.user_id)
        before = await context.store.outbox.preferences(
            context.actor.clinic_id, context.actor.user_id
        )
        changed = [
            name
            for name in ("language", "channel", "opted_out")
            if getattr(before, name) != getattr(preferences, name)
        ]
        if changed:
            await keep_choice(
                context,
                unit,
                preferences,
                action="choose_notifications",
                detail={"changed": changed},
            )
        return preferences

    return await context.transactions.run(work)


async def keep_choice(
    context: Context,
    unit: UnitOfWork,
    preferences: Preferences,
    *,
    action: str,
    detail: Mapping[str, Any],
) -> None:
    """Store the actor's own preferences with an audit event. The account must be locked, so that
    no concurrent choice is lost."""
    await unit.messages.choose(context.actor.clinic_id, context.actor.user_id, preferences)
    await unit.events.add(
        context.event(
            action,
            "notification_preferences",
            context.actor.user_id,
            detail=detail,
            patient_id=context.actor.user_id if context.actor.role is Role.PATIENT else None,
        )
    )
