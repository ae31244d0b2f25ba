"""Commands on a clinic in memory."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from clinic.domain.audit.audit import event_by
from clinic.domain.people.people import Actor, Role
from clinic.entrypoints.cli import run
from clinic.testing.builders import NOW


def slots(line, *arguments):
    return line.json("slots", "list", "--limit", "200", *arguments)


def book(line, ids, number, patient="one"):
    slot = slots(line)[number]
    return line.json("appointments", "book", slot["id"], ids[patient], "--type", "Check-up")


def test_clinic_create_then_list_shows_it(line):
    made = line.json("clinic", "create", "Harbour", "Europe/London", "--notice-min", "30")

    assert line.json("clinic", "list") == [made]
    assert made["name"] == "Harbour"
    assert made["noticeMin"] == 30


def test_clinic_is_reached_by_what_create_and_change_say(line):
    options = ("--address", "1 Quay Road", "--address", "Bristol", "--phone", "+44 117 496 0123")
    made = line.json("clinic", "create", "Harbour", "Europe/London", *options)

    changed = line.json("clinic", "change", "--phone", "", "--language", "de")

    assert (made["address"], made["phone"], made["language"]) == (
        "1 Quay Road\nBristol",
        "+441174960123",
        "en",
    )
    assert changed == {**made, "phone": None, "language": "de"}
    assert "1 Quay Road, Bristol\n" in line("clinic", "change", "--name", "Port")


def test_clinic_create_with_an_unknown_zone_is_refused(line):
    assert line.refused("clinic", "create", "Harbour", "Europe/Atlantis") == (
        1,
        "clinic: 'Europe/Atlantis' is not the name of an IANA time zone;"
        " did you mean Europe/Athens? (unknown_time_zone)\n",
    )


def test_command_without_a_clinic_is_refused(line):
    status, complaint = line.refused("doctor", "list")

    assert status == 1
    assert complaint.endswith("(clinic_not_found)\n")


def test_command_with_two_clinics_asks_which(line, ids):
    line("clinic", "create", "Second", "Europe/London")

    status, complaint = line.refused("doctor", "list")

    assert status == 1
    assert complaint.endswith("(clinic_not_named)\n")
    assert len(line.json("doctor", "list", "--clinic", ids["clinic"])) == 1


def test_doctor_list_by_specialty(line, ids):
    assert [each["id"] for each in line.json("doctor", "list", "--specialty", "time")] == [
        ids["doctor"]
    ]
    assert line.json("doctor", "list", "--specialty", "Space") == []


def test_patient_add_with_a_known_email_is_refused(line, ids):
    status, complaint = line.refused("patient", "add", "Other", "P1@example.org")

    assert (status, complaint) == (
        1,
        "clinic: Somebody is already registered with this email address. (email_in_use)\n",
    )


def test_patient_list_says_that_there_is_more(line, ids, capsys):
    assert run(["patient", "list", "--limit", "1"]) == 0

    answer = capsys.readouterr()
    assert len(answer.out.splitlines()) == 2
    assert "there is more" in answer.err


def test_hours_add_opens_slots_and_delete_retires_them(line, ids):
    [hours] = line.json("hours", "list")
    found = slots(line, "--to", "2026-11-24")

    deleted = line("hours", "delete", hours["id"], "--reason", "Leave")

    # With a notice of an hour, 09:00 on Monday can still be booked at 08:00.
    assert [slot["startsAt"][11:16] for slot in found] == ["09:00", "09:30", "10:00", "10:30"] * 2
    assert hours["days"] == "mon,tue"
    assert "retired" in deleted
    assert slots(line) == []


def test_hours_add_with_a_remainder_is_refused(line, ids):
    status, complaint = line.refused(
        "hours", "add", ids["doctor"], "12:00", "12:50", "--on", "2026-11-25"
    )

    assert status == 1
    assert complaint.endswith("(availability_remainder)\n")


@pytest.mark.parametrize("given", [[], ["--weekdays", "mon", "--on", "2026-11-25"]])
def test_hours_add_needs_weekdays_or_a_date(line, ids, given):
    assert line.refused("hours", "add", ids["doctor"], "12:00", "13:00", *given) == (
        1,
        "clinic: Give either --weekdays or --on. (invalid_input)\n",
    )


def test_slots_open_twice_adds_nothing(line, ids):
    first = line("slots", "open", "--until", "2027-03-31")
    second = line("slots", "open", "--until", "2027-03-31")

    assert not first.startswith("0 slots")
    assert second == (
        "0 slots added, 0 retired, 0 blocked, 0 unblocked.\n"
        "The slots of this time are the same as before.\n"
    )


def test_slots_block_tells_the_appointments_and_unblock_opens(line, ids):
    made = book(line, ids, 0)

    blocked = line("slots", "block", ids["doctor"], "--from", "2026-11-23", "--to", "2026-11-23")
    free = slots(line, "--to", "2026-11-23")
    opened = line("slots", "unblock", ids["doctor"], "--from", "2026-11-23", "--to", "2026-11-23")

    assert blocked.startswith(
        "4 slots blocked.\n1 appointment in blocked slots; move or cancel them:\n"
    )
    assert made["id"] in blocked
    assert free == []
    assert opened == "4 slots opened.\n"


def test_appointment_books_moves_confirms_cancels_and_is_audited(line, ids):
    made = book(line, ids, 0)
    target = slots(line)[2]["id"]

    moved = line.json("appointments", "move", made["id"], target, "--reason", "Rain")
    confirmed = line.json("appointments", "status", made["id"], "CONFIRMED", "--as", ids["one"])
    cancelled = line.json("appointments", "cancel", made["id"], "--reason", "Better")
    trail = line.json("appointments", "audit", made["id"])

    assert (made["status"], made["version"], made["type"]) == ("BOOKED", 1, "Check-up")
    assert (moved["slotId"], moved["version"]) == (target, 2)
    assert (confirmed["status"], confirmed["version"]) == ("CONFIRMED", 3)
    assert (cancelled["status"], cancelled["version"]) == ("CANCELLED", 4)
    assert [(entry["action"], entry["by"], entry["reason"]) for entry in trail] == [
        ("BOOK", "SYSTEM", "No reason given"),
        ("RESCHEDULE", "SYSTEM", "Rain"),
        ("CHANGE_STATUS", "PATIENT", "No reason given"),
        ("CHANGE_STATUS", "SYSTEM", "Better"),
    ]


def test_appointment_that_was_cancelled_is_booked_again_where_its_slot_is_free(line, ids):
    made = book(line, ids, 0)
    line("appointments", "status", made["id"], "CONFIRMED")
    nothing = line.refused("appointments", "undo", made["id"])
    line("appointments", "cancel", made["id"])

    undone = line.json("appointments", "undo", made["id"], "--reason", "Wrong one")
    line("appointments", "cancel", made["id"])
    book(line, ids, 0, "two")
    taken = line.refused("appointments", "undo", made["id"])
    trail = line.json("appointments", "audit", made["id"])

    assert nothing == (
        1,
        "clinic: An appointment that is CONFIRMED has nothing to take back."
        " (transition_not_allowed)\n",
    )
    assert (undone["id"], undone["status"], undone["version"]) == (made["id"], "BOOKED", 4)
    assert taken == (1, "clinic: Sorry, this slot was just taken. (slot_taken)\n")
    assert [(entry["action"], entry["reason"]) for entry in trail][3] == ("UNDO", "Wrong one")


def test_audit_events_are_listed_of_a_clinic_and_of_none(line, ids):
    actor = Actor(UUID(int=0), Role.SYSTEM, UUID(int=0), ip="2001:db8::1")
    for number in range(5):
        guess = event_by(actor, "refused", "users", None, now=NOW, event_id=UUID(int=number + 1))
        line.services.audit.add_denial(replace(guess, outcome="not_signed_in"))
    book(line, ids, 0)

    guesses = line.json("audit", "events")
    table = line("audit", "events", "--action", "refused", "--outcome", "not_signed_in")
    none = line.json("audit", "events", "--outcome", "quota_exceeded")
    of_clinic = line.json("audit", "events", "--clinic", ids["clinic"], "--action", "BOOK")

    # The first has its own row, the others share one, written when the buffer was closed.
    assert sorted(each["count"] for each in guesses) == [1, 4]
    assert {each["outcome"] for each in guesses} == {"not_signed_in"}
    assert {each["clinicId"] for each in guesses} == {None}
    assert table.count("2001:db8::1") == 2
    assert none == []
    assert [each["clinicId"] for each in of_clinic] == [ids["clinic"]]


def test_appointment_in_a_taken_slot_is_refused(line, ids):
    taken = slots(line)[0]["id"]
    book(line, ids, 0)

    assert line.refused("appointments", "book", taken, ids["two"]) == (
        1,
        "clinic: Sorry, this slot was just taken. (slot_taken)\n",
    )


def test_appointments_swap(line, ids):
    one = book(line, ids, 0)
    two = book(line, ids, 0, "two")

    swapped = line.json("appointments", "swap", one["id"], two["id"])

    assert [each["slotId"] for each in swapped] == [two["slotId"], one["slotId"]]


def test_appointments_list_filters(line, ids):
    one = book(line, ids, 0)
    two = book(line, ids, 0, "two")
    line("appointments", "cancel", two["id"])

    def listed(*arguments):
        return [each["id"] for each in line.json("appointments", "list", *arguments)]

    assert listed() == [one["id"], two["id"]]
    assert listed("--status", "CANCELLED") == [two["id"]]
    assert listed("--patient", ids["one"]) == [one["id"]]
    assert listed("--on", "2026-11-24") == []
    assert line.json("appointments", "show", one["id"]) == one


def test_list_as_plain_text_is_aligned(line, ids):
    book(line, ids, 0)

    [head, row] = line("appointments", "list").splitlines()

    assert head.index("status") == row.index("BOOKED")
    assert "Mon 2026-11-23 09:00" in row


def test_act_as_an_unknown_user_is_refused(line, ids):
    status, complaint = line.refused("slots", "open", "--as", ids["clinic"])

    assert (status, complaint) == (1, f"clinic: There is no user {ids['clinic']}. (not_found)\n")


def test_act_as_a_patient_who_may_not_is_refused(line, ids):
    status, complaint = line.refused("slots", "open", "--as", ids["one"])

    assert (status, complaint) == (1, "clinic: Your role may not do this. (permission_denied)\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["slots", "nonsense"],
        ["slots", "block"],
        ["doctor", "list", "--clinic", "not-an-id"],
        ["slots", "list", "--limit", "many"],
        ["doctor", "list", "--colour", "red"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_one_line(line, arguments):
    status, complaint = line.refused(*arguments)

    assert status == 2
    assert complaint.startswith("clinic: ")
    assert complaint.count("\n") == 1


def test_limit_that_is_too_high_is_refused(line, ids):
    assert line.refused("slots", "list", "--limit", "201") == (
        1,
        "clinic: limit is from 1 to 200. (invalid_input)\n",
    )


def test_unknown_setting_is_told_without_a_traceback(line, monkeypatch):
    monkeypatch.setenv("CLINIC_COLOUR", "red")

    assert line.refused("doctor", "list") == (
        1,
        "clinic: CLINIC_COLOUR: there is no such setting; unset it or correct its name."
        " (settings)\n",
    )


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("CLINIC_DATABASE_URL", "postgresql://[bad"),
        ("CLINIC_DATABASE_URL", "postgresql://me:p@ss/word@host/name?nonsense=1"),
        ("CLINIC_BROKER_URL", "redis://[bad"),
        ("CLINIC_BROKER_URL", "redis://me:secret@host:port/0"),
    ],
)
def test_malformed_url_is_told_without_its_password(monkeypatch, capsys, variable, url):
    monkeypatch.setenv("CLINIC_SECRET", "s" * 48)
    monkeypatch.setenv(variable, url)

    assert run(["doctor", "list"]) == 1

    complaint = capsys.readouterr().err
    assert complaint.startswith(f"clinic: {variable}: this is not a URL")
    assert url not in complaint
    assert complaint.count("\n") == 1


def test_migrate_with_a_malformed_url_is_refused(monkeypatch, line):
    monkeypatch.setenv("CLINIC_OWNER_URL", "postgresql://[bad")

    status, complaint = line.refused("migrate")

    assert status == 1
    assert complaint.startswith("clinic: CLINIC_OWNER_URL: this is not a URL")


def test_migrate_without_a_database_is_refused(line):
    status, complaint = line.refused("migrate")

    assert status == 1
    assert complaint.startswith("clinic: CLINIC_DATABASE_URL: ")


def test_token_names_the_users_role(line, ids):
    from clinic.entrypoints.http.kernel.tokens import Tokens

    issued = line("token", ids["one"]).strip()

    claims = Tokens(line.services.settings, line.clock.now).read(issued.encode())
    assert (str(claims.user_id), claims.role) == (ids["one"], "PATIENT")
    assert str(claims.clinic_id) == ids["clinic"]


@pytest.mark.parametrize(
    "words",
    [("doctor", "add", "Dr Foo", "d@example.org", "Time"), ("patient", "add", "P", "p@x.org")],
)
def test_phone_number_is_stored_in_one_form_or_refused(line, ids, words):
    phone = "+44 (0)20\u202f7946 0018 ext. 12"

    line(*words, "--phone", phone)
    status, told = line.refused(*words[:3], "other@example.org", *words[4:], "--phone", "call me")

    assert (status, "phone_number_refused" in told) == (1, True)
    assert "+44 20 7946 0958" in told
    listed = line.json("user", "list", "--role", words[0], "--limit", "200")
    (added,) = [UUID(each["id"]) for each in listed if each["name"] == words[2]]
    stored = asyncio.run(line.services.store.people.user(added))
    assert stored.phone == "+442079460018;ext=12"


def test_user_add_and_list_know_the_roles(line, ids):
    told = "There is no role 'docter'; write one of: patient, doctor, receptionist, admin;"

    for words in (("add", "A", "a@example.org", "docter"), ("list", "--role", "docter")):
        status, complaint = line.refused("user", *words)
        assert (status, told in complaint) == (1, True)
        assert "did you mean doctor?" in complaint
    assert line.json("user", "add", "A", "a@example.org", "Receptionist")["role"] == "receptionist"


@pytest.mark.parametrize(
    ("arguments", "allowed", "near"),
    [
        (("appointments", "list", "--status", "boked"), "no-show", "booked"),
        (("notifications", "list", "--status", "pendin"), "pending, claimed", "pending?"),
        (("notifications", "list", "--kind", "remainder"), "day_sheet", "reminder?"),
    ],
)
def test_unknown_word_is_refused_with_those_that_are_known(line, ids, arguments, allowed, near):
    _, complaint = line.refused(*arguments)

    assert allowed.lower() in complaint.lower()
    assert near.lower() in complaint.lower()


def test_filter_is_read_as_texts_are_stored(line, ids):
    line("doctor", "add", "Dr Toma\u0301s", "t@example.org", "Pa\u0301diatrie")

    (found,) = line.json("doctor", "list", "--specialty", " Pádiatrie ")

    assert (found["name"], found["specialty"]) == ("Dr Tomás", "Pádiatrie")


def test_name_that_the_shell_could_not_read_is_refused(line, ids):
    status, complaint = line.refused("patient", "add", "A\udce9", "a@example.org")

    assert status == 1
    assert "Character 2 of the name is U+DCE9 half of a surrogate pair" in complaint


@pytest.mark.parametrize(
    "command",
    [
        ("patient", "add", "Ada", "ada..b@example.org"),
        ("doctor", "add", "Dr Ada", ".ada@example.org", "Cardiology"),
        ("user", "add", "Ada", "ada@example..org", "receptionist"),
    ],
)
def test_address_that_mail_cannot_be_sent_to_is_refused(line, ids, command):
    status, complaint = line.refused(*command)

    assert status == 1
    assert "not an email address" in complaint
    assert "invalid_input" in complaint
