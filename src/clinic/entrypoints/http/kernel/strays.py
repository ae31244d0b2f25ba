"""Requests that no endpoint handles: refused, and counted by their network."""

from clinic.domain.errors import ClinicError, QuotaExceeded
from clinic.entrypoints.http.kernel.renderers import render_problem
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext


async def stray_reply(call: RequestContext, refusal: ClinicError) -> Reply:
    """Return the refusal as a response, or QuotaExceeded's after too many such requests."""
    try:
        await call.guard.count_stray(call)
    except QuotaExceeded as error:
        refusal = error
    return render_problem(call, refusal)
