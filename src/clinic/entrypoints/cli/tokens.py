"""`clinic token`: a bearer token for a user, to try requests without a sign-in."""

from datetime import timedelta
from uuid import UUID

from clinic.domain.errors import InvalidInput
from clinic.entrypoints.cli.session import Where, session
from clinic.entrypoints.http.kernel.tokens import token_of
from clinic.usecases.people.sign_in import sign_in_as

HERE = Where()
MAX_HOURS = 24 * 31


async def token(user: UUID, /, *, hours: int = 8, where: Where = HERE) -> None:
    """Print a bearer token for a user.

    Parameters
    ----------
    user
        Id of the user; the token has the user's role.
    hours
        How long it is valid, up to 744.
    """
    if not 1 <= hours <= MAX_HOURS:
        raise InvalidInput(f"A token is valid for 1 to {MAX_HOURS} hours.")
    async with session(where) as at:
        (made,) = await sign_in_as(at.context, [user], lifetime=timedelta(hours=hours))
        print(token_of(made, at.services.settings))
