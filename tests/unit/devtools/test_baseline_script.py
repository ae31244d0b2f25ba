"""The baseline's script is the application's own statement, and books what the world says."""

import re
from datetime import UTC, datetime

from clinic.adapters.postgres.appointments.booking_statement import reservation
from clinic.devtools.bench.baseline import Script, make_script, sample_booking
from clinic.devtools.bench.world import world

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
FIRST_DAY = world("10k", NOW).first_day


def a_script() -> Script:
    booking = sample_booking(NOW, FIRST_DAY)
    return make_script(*reservation(booking), booking)


def test_script_is_the_statement_with_its_parameters_filled_in() -> None:
    booking = sample_booking(NOW, FIRST_DAY)
    statement, _ = reservation(booking)

    query = a_script().text.splitlines()[-1]

    # Identical between the parameters, whatever replaced them.
    constant = [" ".join(part.split()) for part in re.split(r"\$\d+", statement)]
    at = 0
    for part in constant:
        at = query.index(part.strip(), at) + len(part.strip())
    assert query.endswith("SELECT 1 FROM a w;")


def test_every_parameter_is_computed_or_passed() -> None:
    script = a_script()

    used = set(re.findall(r"(?<![:\w]):([a-z]\w*)", script.text))
    computed = set(re.findall(r"^\\set (\w+)", script.text, re.MULTILINE))
    world_s = {"first", "i", "clients", "client_id", "stride", "slots", "times", "doctors"}
    world_s |= {"patients", "day"}
    assert used - computed - world_s == set(script.variables)
    assert "$" not in script.text


def test_slot_doctor_patient_and_times_are_another_each_time() -> None:
    text = a_script().text

    for variable in (":n", ":d", ":p", ":start", ":j"):
        assert variable in text.splitlines()[-1]
    # The appointment, the audit entry and three messages: new ids for each booking.
    assert text.count("uuidv7()") == 5


def test_baseline_writes_as_many_messages_as_a_booking_has() -> None:
    assert len(sample_booking(NOW, FIRST_DAY).messages) == 3
