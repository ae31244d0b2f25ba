"""Swaps: two appointments exchange their slots."""

import msgspec

from clinic.domain.appointments import AppointmentView
from clinic.domain.errors import AppointmentNotFound, NotSwappable, PatientBusy, PolicyRefused
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.call import Call
from clinic.entrypoints.http.endpoint import Key, endpoint
from clinic.entrypoints.http.idempotency import answer_keyed
from clinic.entrypoints.http.reply import Reply
from clinic.entrypoints.http.wire import AppointmentOut, ItemsOut, SwapIn, appointments_out
from clinic.usecases.change_appointment import swap
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
    key=Key.REQUIRED,
    refuses=(AppointmentNotFound, NotSwappable, PolicyRefused, PatientBusy),
)
async def post_swap(call: Call, body: SwapIn) -> Reply:
    """Two BOOKED or CONFIRMED appointments of equal length exchange their slots, both or neither;
    they come back in the order they were named. For staff."""

    async def act(context: Context) -> Pair:
        return await swap(context, body.appointment_ids)

    return await answer_keyed(call, body, act, _swapped, reason=body.reason)


ENDPOINTS = (post_swap,)
