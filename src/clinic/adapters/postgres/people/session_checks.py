"""SQL by which other statements check a session in the same round trip."""

from clinic.adapters.postgres.engine.mapping import AnyRow, Columns
from clinic.domain.people.people import Actor

_IS_USABLE = "xu.id = x.user_id AND xu.disabled_at IS NULL AND xu.role = x.role"

#: joins the requested session: it is still usable if `xu` is found, by that user in that role
LIVE_SESSION = f"""LEFT JOIN sessions x ON x.clinic_id = c.id AND x.id = asked.session_id
    AND x.revoked_at IS NULL
LEFT JOIN users xu ON {_IS_USABLE}"""

#: a condition with three parameters: this session of this user in this role is still usable at the
#: clinic, $1. Evaluated once, since it depends on no row.
SIGNED_IN = f"""EXISTS (
    SELECT FROM sessions x JOIN users xu ON {_IS_USABLE}
    WHERE x.clinic_id = $1 AND x.id = ${{}} AND x.user_id = ${{}} AND x.role = ${{}}
      AND x.revoked_at IS NULL
)"""

IS_SIGNED_IN = f"SELECT {SIGNED_IN.format(2, 3, 4)}"

#: user and role of a usable session, NULL without one; for is_proven
PROVEN = Columns(user_id="xu.id", role="xu.role")


def is_proven(actor: Actor, proven: AnyRow) -> bool:
    """Return whether user and role of a usable session, NULL without one, are the actor's."""
    user_id, role = proven
    return bool(user_id == actor.user_id and role == actor.role)
