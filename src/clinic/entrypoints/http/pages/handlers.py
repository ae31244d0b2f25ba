"""What the handlers of pages share: the request, who may use them, the form with a password."""

from litestar.di import NamedDependency
from litestar.params import SkipValidation, URLEncodedBody
from msgspec import Struct

from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.kernel.access import Access
from clinic.entrypoints.http.kernel.request_context import RequestContext

#: the request as the kernel knows it, which the kernel gives to each handler that asks for `call`
Asked = NamedDependency[SkipValidation[RequestContext]]
#: whoever has the link
PUBLIC = Access()
#: the same, where each request costs a password's hash
HASHING = Access(rate=RateClass.REGISTER)


class _PasswordForm(Struct, forbid_unknown_fields=True, frozen=True):
    password: str = ""


PasswordForm = URLEncodedBody[_PasswordForm]
