"""What a person wants of messages: language, channel, and which optional kinds not."""

from collections.abc import Iterable

from clinic.domain.contact import LANGUAGES
from clinic.domain.deliveries import Preferences
from clinic.domain.errors import InvalidInput
from clinic.domain.notifications import CHANNELS, OPTIONAL
from clinic.domain.people import Actor
from clinic.domain.permissions import Operation, permit
from clinic.ports.outbox import Outbox


async def read_preferences(*, outbox: Outbox, actor: Actor) -> Preferences:
    """Return what the actor chose at this clinic. Raises PermissionDenied."""
    permit(actor, Operation.MANAGE_OWN_ACCOUNT)
    return await outbox.preferences(actor.clinic_id, actor.user_id)


async def choose_preferences(
    *, outbox: Outbox, actor: Actor, language: str, channel: str, opted_out: Iterable[str]
) -> Preferences:
    """Return the actor's choice, kept. Raises PermissionDenied, InvalidInput."""
    permit(actor, Operation.MANAGE_OWN_ACCOUNT)
    if language not in LANGUAGES:
        raise InvalidInput(f"language is one of: {', '.join(LANGUAGES)}.", pointer="/language")
    if channel not in CHANNELS:
        raise InvalidInput(f"channel is one of: {', '.join(CHANNELS)}.", pointer="/channel")
    unwanted = frozenset(opted_out)
    if not unwanted <= OPTIONAL.keys():
        raise InvalidInput(
            f"Only these can be turned off: {', '.join(OPTIONAL)}.", pointer="/optedOut"
        )
    preferences = Preferences(language, channel, unwanted)
    await outbox.choose(actor.clinic_id, actor.user_id, preferences)
    return preferences
