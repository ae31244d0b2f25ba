"""Swaps: two appointments exchange their slots."""

import msgspec

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.errors import AppointmentNotFound, NotSwappable, PatientBusy, PolicyRefused
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.appointments.schemas import (
    AppointmentOut,
    SwapIn,
    appointments_out,
)
from clinic.entrypoints.http.kernel.endpoint import KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.idempotency import answer_keyed
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut
from clinic.usecases.appointments.change_appointment import swap
from clinic.usecases.context import Context

_encode = msgspec.json.Encoder().encode

Pair = tuple[AppointmentView, AppointmentView]


def _swapped(views: Pair) -> Answer:
    return Answer(200, _encode(appointments_out(views)))


@endpoint(
    "POST",
    "/swaps",
    tag="Appointments",
    summary="Swap two appointments",
    answers=ItemsOut[AppointmentOut],
    needs=Operation.SWAP_APPOINTMENTS,
    key=KeyPolicy.REQUIRED,
    refuses=(AppointmentNotFound, NotSwappable, PolicyRefused, PatientBusy),
)
async def post_swap(call: RequestContext, body: SwapIn) -> Reply:
    """Two BOOKED or CONFIRMED appointments of equal length exchange their slots, both or neither;
    they come back in the order they were named. For staff."""

    async def act(context: Context) -> Pair:
        return await swap(context, body.appointment_ids)

    return await answer_keyed(call, body, act, _swapped, reason=body.reason)


ENDPOINTS = (post_swap,)
