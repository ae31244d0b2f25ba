"""The error tree: a code for each, and messages for people."""

import re
from inspect import cleandoc

import pytest

from clinic.domain.errors import ClinicError, InvalidInput, SlotTaken, every_error

# Entrypoints add their own errors to the tree; which are there depends on what is imported.
ERRORS = [error for error in every_error() if error.__module__ == ClinicError.__module__]


def test_every_error_has_a_code_of_its_own() -> None:
    assert [error for error in ERRORS if "code" not in vars(error)] == []
    codes = [error.code for error in ERRORS]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_error_code_is_its_name(error: type[ClinicError]) -> None:
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", error.__name__).lower()

    assert error.code == snake


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_error_says_what_is_wrong_in_a_sentence(error: type[ClinicError]) -> None:
    message = error().message

    assert message == cleandoc(error.__doc__ or "")
    assert re.fullmatch(r"[A-Z].*\.", message)
    assert "\n" not in message
    # Prepared once, not each time that it is raised.
    assert message is error.meaning


def test_error_keeps_its_own_words_and_facts() -> None:
    error = ClinicError("It rains.", where="here")

    assert (str(error), error.message, error.facts) == ("It rains.", "It rains.", {"where": "here"})


def test_invalid_input_points_at_the_field() -> None:
    assert InvalidInput("Too long.", pointer="/name").pointer == "/name"


def test_slot_taken_says_sorry() -> None:
    assert SlotTaken().message == "Sorry, this slot was just taken."
