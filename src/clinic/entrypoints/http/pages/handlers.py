"""What the handlers of pages share: who may use them, the form with a password."""

from litestar.params import URLEncodedBody
from msgspec import Struct

from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.kernel.access import Access

#: whoever has the link
PUBLIC = Access()
#: the same, where each request costs a password's hash
HASHING = Access(rate=RateClass.REGISTER)


class _PasswordForm(Struct, forbid_unknown_fields=True, frozen=True):
    password: str = ""


PasswordForm = URLEncodedBody[_PasswordForm]
