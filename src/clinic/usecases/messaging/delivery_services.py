"""What a worker needs to deliver messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from clinic.domain.links import LinkSigner
from clinic.domain.messaging.deliveries import AmbiguousMail
from clinic.ports.clock import IdSource
from clinic.ports.job_queue import JobQueue
from clinic.ports.notifier import Notifier
from clinic.ports.outbox import Outbox

#: minutes, so that a worker that pauses for a while keeps the message that it is sending
LEASE = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class DeliveryServices:
    """What delivering needs; one instance for a worker's lifetime."""

    outbox: Outbox
    queue: JobQueue
    #: by channel; a message for any other channel goes by email
    notifiers: Mapping[str, Notifier]
    signer: LinkSigner
    new_id: IdSource
    #: the base URL of links in messages, without a trailing slash
    public_url: str
    #: the right-hand side of Message-IDs
    mail_domain: str
    #: the front end, if there is one: where people book, and doctors read their calendar
    frontend_url: str = ""
    on_ambiguous: AmbiguousMail = AmbiguousMail.RESEND
    lease: timedelta = LEASE
