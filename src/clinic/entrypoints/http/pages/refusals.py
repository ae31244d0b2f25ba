"""The text of the page that replaces one that could not be shown, or that answers a failed form."""

from dataclasses import dataclass

from clinic.domain.errors import (
    ClinicError,
    Conflict,
    ForgedRequest,
    NotFound,
    NotSignedIn,
    OutcomeUnknown,
    PermissionDenied,
    PolicyRefused,
    QuotaExceeded,
    TemporaryFailure,
)
from clinic.entrypoints.http.kernel.problems import InternalError, RequestTimeout
from clinic.translations import N_, Translations

_IN_SECONDS_MAX = 120


@dataclass(frozen=True, slots=True)
class Refusal:
    """A title, and a line in which `wait` and `request_id` may be placeholders."""

    title: str
    line: str

    def written(self, language: Translations, *, wait_s: int, request_id: str) -> tuple[str, str]:
        """Return title and line in this language."""
        facts = {"wait": wait_text(wait_s, language), "request_id": request_id}
        return language.gettext(self.title), language.gettext(self.line) % facts


_AWAY = Refusal(
    N_("We cannot do this right now"),
    N_("Nothing was changed. Please open the link again in a few minutes."),
)
_UNKNOWN = Refusal(
    N_("We do not know whether this worked"),
    N_("Please open the link again: it shows whether it was done."),
)
_IMPOSSIBLE = Refusal(
    N_("This is not possible"),
    N_("Nothing was changed. Please open the page again: it shows what is possible."),
)
_NOT_UNDERSTOOD = Refusal(
    N_("This page was not opened as it should be"),
    N_("Please use the link in the latest message."),
)

#: the first class that matches counts
_REFUSALS: dict[type[ClinicError], Refusal] = {
    OutcomeUnknown: _UNKNOWN,
    RequestTimeout: _UNKNOWN,
    TemporaryFailure: _AWAY,
    QuotaExceeded: Refusal(N_("That was too often"), N_("Please wait %(wait)s, then try again.")),
    NotSignedIn: Refusal(
        N_("You are not signed in"), N_("Please sign in, then open this page again.")
    ),
    ForgedRequest: Refusal(
        N_("This form is out of date"),
        N_("Nothing was changed. Please open the page again and send its form."),
    ),
    PermissionDenied: Refusal(
        N_("This page is not open to you"),
        N_("If you should be able to use it, please ask the clinic."),
    ),
    Conflict: _IMPOSSIBLE,
    PolicyRefused: _IMPOSSIBLE,
    NotFound: Refusal(
        N_("There is no such page"), N_("Please use the link in the latest message.")
    ),
    InternalError: Refusal(
        N_("Something went wrong"),
        N_(
            "The fault is ours. If it happens again, please call the clinic and tell them this"
            " number: %(request_id)s."
        ),
    ),
}


def refusal_of(error: ClinicError, *, changes: bool) -> Refusal:
    """Return the text for `error`; `changes`: whether the request was meant to change anything."""
    if isinstance(error, TemporaryFailure) and not changes:
        # Whatever its result, the request would have changed nothing.
        return _AWAY
    for kind, refusal in _REFUSALS.items():
        if isinstance(error, kind):
            return refusal
    return _NOT_UNDERSTOOD


def wait_text(wait_s: int, language: Translations) -> str:
    """Return how long to wait, in minutes if it is more than two."""
    if wait_s <= _IN_SECONDS_MAX:
        number = max(wait_s, 1)
        text = language.ngettext("a second", "%(number)s seconds", number)
    else:
        number = -(-wait_s // 60)
        text = language.ngettext("%(number)s minute", "%(number)s minutes", number)
    return text % {"number": number}
