"""The clinic's audit log: who did, read or was refused what."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from clinic.domain.clinic import checked_instant
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.people.schemas import EventOut
from clinic.entrypoints.http.kernel.endpoint import endpoint
from clinic.entrypoints.http.kernel.paging import PageQuery, page_reply, page_request
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut
from clinic.usecases.audit.read_audit import AuditSearch, read_audit

Word = Annotated[str, Meta(max_length=60)]


class AuditQuery(PageQuery, kw_only=True, frozen=True):
    actor: Annotated[UUID | None, Meta(description="who did it")] = None
    patient: Annotated[UUID | None, Meta(description="the patient it was about")] = None
    entity: Annotated[UUID | None, Meta(description="what it was about")] = None
    action: Annotated[Word | None, Meta(description="such as sign_in, read, BOOK, refused")] = None
    outcome: Annotated[Word | None, Meta(description="done, or why it was refused")] = None
    from_: Annotated[dt.datetime | None, Meta(description="earliest, with offset")] = None
    to: Annotated[dt.datetime | None, Meta(description="before, with offset")] = None


@endpoint(
    "GET",
    "/audit",
    tag="Audit",
    summary="Read the audit log, latest first",
    answers=ItemsOut[EventOut],
    needs=Operation.READ_AUDIT,
    headers=("Link",),
)
async def get_events(call: RequestContext, query: AuditQuery) -> Reply:
    """Every change, sign-in, denial and read of patients' data; by id, without names."""
    page = await read_audit(
        call.context(),
        AuditSearch(
            query.actor,
            query.patient,
            query.entity,
            query.action,
            query.outcome,
            checked_instant(query.from_, "from") if query.from_ else None,
            checked_instant(query.to, "to") if query.to else None,
        ),
        page_request(call, query),
    )
    return page_reply(call, query, page, EventOut.of)


ENDPOINTS = (get_events,)
