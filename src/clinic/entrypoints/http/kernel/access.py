"""What access control needs to know of a handler, whichever door it stands behind."""

from dataclasses import dataclass

from clinic.domain.permissions import Operation
from clinic.domain.rate_limits import RateClass


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a handler, and how its requests are counted."""

    #: what the actor must be allowed to do; None is for everybody, signed in or not
    needs: Operation | None = None
    #: how requests are counted, when not by method; health is not
    rate: RateClass | None = None
    is_limited: bool = True
    #: public, and yet for its actor where there is one
    knows_actor: bool = False
    #: access control looks the session up; or the handler does, in its own read if it can
    checks_session: bool = True
