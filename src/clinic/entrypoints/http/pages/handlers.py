"""What the handlers of pages share: access rules, and the form with a password."""

from litestar.params import URLEncodedBody
from msgspec import Struct

from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.kernel.access import Access

#: anyone with the link
PUBLIC = Access()
#: the same, for requests that hash a password
HASHING = Access(rate=RateClass.REGISTER)


class _PasswordForm(Struct, forbid_unknown_fields=True, frozen=True):
    password: str = ""


PasswordForm = URLEncodedBody[_PasswordForm]
