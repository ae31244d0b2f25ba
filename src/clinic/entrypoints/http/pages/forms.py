"""Reads the forms of pages: small, and without a file."""

from urllib.parse import parse_qs

from clinic.entrypoints.http.call import Call
from clinic.entrypoints.http.problems import BadRequest

FORM_MAX_BYTES = 4096
FIELDS_MAX = 5


async def read_form(call: Call) -> dict[str, str]:
    """Return the first value of each field. Raises BodyTooLarge, BadRequest, ClientGone."""
    body = await call.receive_all(FORM_MAX_BYTES)
    try:
        fields = parse_qs(body.decode(errors="replace"), max_num_fields=FIELDS_MAX)
    except ValueError:
        raise BadRequest(f"A form has at most {FIELDS_MAX} fields.") from None
    return {name: values[0] for name, values in fields.items()}
