"""What access control needs to know about a handler, however it is declared."""

from dataclasses import dataclass

from clinic.domain.permissions import Operation
from clinic.domain.rate_limits import RateClass


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a handler, and how its requests are counted."""

    #: what the actor must be allowed to do; None admits everyone, signed in or not
    needs: Operation | None = None
    #: how requests are counted, if not by method; health checks are not limited
    rate: RateClass | None = None
    is_limited: bool = True
    #: public, but identifies the actor if there is one
    knows_actor: bool = False
    #: access control looks the session up; otherwise the handler does, in its own read if it can
    checks_session: bool = True
