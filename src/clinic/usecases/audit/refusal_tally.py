"""Counts repeated refusals: a row for the first, then one a minute that says how many there were.

Each refusal is counted by clinic, kind, network and user, where those are known. Memory and rows
are bounded, and every refusal is counted, except in the last minute of a process that is killed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.networks import UNKNOWN_NETWORK, network_of
from clinic.domain.people.people import Role
from clinic.ports.clock import IdSource

WINDOW_S = 60.0
#: keys that are counted separately in a window; all others are counted together
KEYS_MAX = 1000
#: denials of one signed-in user with a row each in a window, since each says what was denied
DENIALS_KEPT = 20
#: the action noted for requests over quota, forged or not proven; the outcome says why
REFUSED = "refused"
OTHERS = "others"

_NOBODY_ID = UUID(int=0)
TallyKey = tuple[UUID, str, str, str, UUID | None]


@dataclass(slots=True)
class _Count:
    """One window of one key: its last event represents those that have no row yet."""

    ends_s: float
    kept: int = 0
    number: int = 0
    first_at: datetime | None = None
    last: AuditEvent | None = None


class RefusalTally:
    """Decides which refusals get a row each, and counts the others."""

    def __init__(self, *, now_s: Callable[[], float], new_id: IdSource) -> None:
        self._now_s = now_s
        self._new_id = new_id
        #: in the order in which their windows end
        self._counts: dict[TallyKey, _Count] = {}

    def keeps(self, event: AuditEvent) -> bool:
        """Return whether the refusal gets its own row; if not, count it."""
        count = self._count_of(_key_of(event))
        may_keep = count.kept < _kept_max(event) and count is not self._counts.get(_OTHERS_KEY)
        if may_keep:
            count.kept += 1
        else:
            self.count(event)
        return may_keep

    def count(self, event: AuditEvent) -> None:
        """Count a refusal that gets no row."""
        count = self._count_of(_key_of(event))
        count.number += 1
        count.first_at = count.first_at or event.at
        count.last = event

    def take(self, *, everything: bool = False) -> list[AuditEvent]:
        """Return the events of windows that have ended, or of all, and begin new ones."""
        now_s = self._now_s()
        over = []
        for key, count in list(self._counts.items()):
            if not everything and count.ends_s > now_s:
                break
            del self._counts[key]
            if count.last is not None:
                over.append(self._event_of(key, count, count.last))
        return over

    def _count_of(self, key: TallyKey) -> _Count:
        found = self._counts.get(key)
        if found is None and len(self._counts) >= KEYS_MAX:
            key = _OTHERS_KEY
            found = self._counts.get(key)
        if found is None:
            found = self._counts[key] = _Count(self._now_s() + WINDOW_S)
        return found

    def _event_of(self, key: TallyKey, count: _Count, last: AuditEvent) -> AuditEvent:
        is_others = key == _OTHERS_KEY
        clinic_id, action, outcome, network, _ = key
        detail = {
            "count": count.number,
            "firstSeen": _text(count.first_at),
            "lastSeen": _text(last.at),
        }
        return replace(
            last,
            id=self._new_id(),
            clinic_id=clinic_id,
            action=action,
            outcome=outcome,
            actor_id=_NOBODY_ID if is_others else last.actor_id,
            actor_role=Role.SYSTEM if is_others else last.actor_role,
            # Their entities and requests differ.
            entity="request" if is_others else last.entity,
            entity_id=last.entity_id if _user_of(last) == last.entity_id else None,
            patient_id=None,
            request_id=None,
            session_id=None,
            ip=None if is_others else last.ip,
            detail=detail if is_others else {**detail, "network": network},
        )


_OTHERS_KEY: TallyKey = (_NOBODY_ID, REFUSED, OTHERS, UNKNOWN_NETWORK, None)


def _key_of(event: AuditEvent) -> TallyKey:
    network = network_of(event.ip)
    return event.clinic_id, event.action, event.outcome, network, _user_of(event)


def _user_of(event: AuditEvent) -> UUID | None:
    """Return who was refused, or whose password was guessed."""
    if event.actor_role is not Role.SYSTEM:
        return event.actor_id
    return event.entity_id if event.entity == "user" else None


def _kept_max(event: AuditEvent) -> int:
    by_somebody = event.actor_role is not Role.SYSTEM and event.action != REFUSED
    return DENIALS_KEPT if by_somebody else 1


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
