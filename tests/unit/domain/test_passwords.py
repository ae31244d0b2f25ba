"""Which passwords are accepted."""

import pytest

from clinic.domain.errors import PasswordRefused
from clinic.domain.people.passwords import checked_password


def check(password: str) -> str:
    return checked_password(password, email="ada@example.org", name="Ada Lovett")


@pytest.mark.parametrize(
    "password",
    [
        "seven quiet otters",
        "xK9#mQ2p",
        "  spaces kept  ",
        "пароль из слов",
        "z" * 60 + "abc",
        "👩‍⚕️ and 🦦 forever",
    ],
)
def test_a_password_is_kept_as_it_was_typed(password: str) -> None:
    assert check(password) == password


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short12",
        "p" * 129,
        "12345678",
        "Password",
        "PASSWORD1!",
        "p@ssw0rd",
        "qwertyuiop",
        "letmein123",
        "Welcome2024",
        "iloveyou!!",
        "aaaaaaaaaa",
        "abababababab",
        "Hospital2026",
        "ada@example.org",
        "Ada Lovett",
        "adalovett",
        "AdaLovett99",
    ],
)
def test_a_guessable_password_is_refused(password: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        check(password)
    assert refused.value.pointer == "/password"
    assert password == "" or password not in refused.value.message
