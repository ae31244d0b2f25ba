"""Messages as rows of the outbox."""

from clinic.adapters.postgres.engine.mapping import Values
from clinic.domain.notifications import Message


def message_values(message: Message) -> Values:
    """Return the message's row in the outbox; the rest of its columns have defaults."""
    return {
        "clinic_id": message.clinic_id,
        "id": message.id,
        "appointment_id": message.appointment_id,
        "user_id": message.user_id,
        "kind": message.kind,
        "channel": message.channel,
        "version": message.version,
        "scheduled_for": message.scheduled_for,
        "next_at": message.scheduled_for,
        "expires_at": message.expires_at,
        "created_at": message.created_at,
    }
