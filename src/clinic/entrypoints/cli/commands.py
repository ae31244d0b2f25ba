"""Every command of `clinic`: its name, its function, and its help.

Plain data without imports, so that `clinic --help` answers at once.
"""

#: name, "module:function" of this package or, if it starts with "clinic.", elsewhere, one line of
#: help
Command = tuple[str, str, str]

COMMANDS: tuple[Command, ...] = (
    (
        "demo",
        "clinic.devtools.demo.command:demo",
        "Run everything locally with a sample clinic, and show a race.",
    ),
    ("serve", "serve:serve", "Serve HTTP."),
    (
        "worker",
        "worker:worker",
        "Deliver messages and do maintenance, in a separate process.",
    ),
    ("migrate", "migrate:migrate", "Bring the database's schema up to date."),
    ("cleanup", "cleanup:cleanup", "Remove stored answers and sessions that have expired."),
    ("check", "check:check", "Report what is misconfigured, and how to fix it."),
    (
        "bench",
        "clinic.devtools.bench.command:bench",
        "Measure how close booking comes to the database's limit.",
    ),
    ("token", "tokens:token", "Print a bearer token for a user (for development)."),
)

#: name, one line of help, its commands
GROUPS: tuple[tuple[str, str, tuple[Command, ...]], ...] = (
    (
        "clinic",
        "Clinics.",
        (
            ("create", "clinics:create", "Create a clinic."),
            ("change", "clinics:change", "Change a clinic's name, time zone or contact."),
            ("list", "clinics:list_clinics", "List all clinics."),
        ),
    ),
    (
        "doctor",
        "Doctors of a clinic.",
        (
            ("add", "people:add_doctor", "Add a person as a doctor."),
            ("list", "people:list_doctors", "List the clinic's doctors."),
            ("last-day", "people:last_day", "Set or clear the last day on which a doctor works."),
        ),
    ),
    (
        "patient",
        "Patients of a clinic.",
        (
            ("add", "people:add_patient", "Add a person as a patient."),
            ("list", "people:list_patients", "List the clinic's patients."),
        ),
    ),
    (
        "types",
        "Types of appointments, such as a check-up of 40 minutes.",
        (
            ("add", "types:add", "Add a type."),
            ("list", "types:list_all", "List types, inactive ones included."),
            ("change", "types:change", "Change a type, or set it inactive; none is deleted."),
        ),
    ),
    (
        "resources",
        "Rooms and equipment that types of appointments need.",
        (
            ("add", "resources:add", "Add a room or equipment."),
            ("list", "resources:list_all", "List rooms and equipment, inactive ones included."),
            ("change", "resources:change", "Change one, or set it inactive; none is deleted."),
            ("close", "resources:close", "Close one for a time; appointments get another."),
            ("reopen", "resources:reopen", "Delete a closure."),
            ("closures", "resources:closures", "List the closures of one."),
        ),
    ),
    (
        "locations",
        "Where doctors work, such as branches of the clinic.",
        (
            ("add", "locations:add", "Add a location."),
            ("list", "locations:list_all", "List locations, inactive ones included."),
            ("change", "locations:change", "Change a location, or set it inactive."),
        ),
    ),
    (
        "hours",
        "Doctors' hours; slots are opened from them at once.",
        (
            ("add", "hours:add", "Add hours on weekdays or on one date, and open their slots."),
            ("list", "hours:list_hours", "List hours and exceptions."),
            ("delete", "hours:delete", "Delete hours, and retire their free slots."),
        ),
    ),
    (
        "closures",
        "Days on which the whole clinic is closed.",
        (
            ("add", "closures:add", "Close it on days, every year, or on public holidays."),
            ("list", "closures:list_all", "List closures."),
            ("delete", "closures:delete", "Delete a closure; its slots are open again."),
        ),
    ),
    (
        "leave",
        "Days on which a doctor is away.",
        (
            ("add", "leave:add", "Enter a doctor's leave."),
            ("list", "leave:list_all", "List leave."),
            ("delete", "leave:delete", "Delete leave; its slots are open again."),
        ),
    ),
    (
        "blocks",
        "Times at which a doctor takes no bookings.",
        (
            ("add", "blocks:add", "Block a doctor's time."),
            ("list", "blocks:list_all", "List blocks."),
            ("delete", "blocks:delete", "Delete a block; its slots are open again."),
        ),
    ),
    (
        "places",
        "Single slots beside a doctor's hours.",
        (
            ("add", "places:add", "Add one slot beside a doctor's hours."),
            ("list", "places:list_all", "List added places."),
            ("delete", "places:delete", "Delete an added place, and retire its slot."),
        ),
    ),
    (
        "changes",
        "Changes that concern the slots of many doctors.",
        (
            ("list", "changes:list_all", "List the latest ones, and how far they are."),
            ("show", "changes:show", "Show one, and the appointments not in open slots now."),
        ),
    ),
    (
        "slots",
        "Slots that patients book.",
        (
            ("open", "slots:open_hours", "Open slots from the hours; safe to repeat."),
            ("list", "slots:list_slots", "List slots that are free, or all of them."),
            ("explain", "slots:explain_times", "Say why times can be booked or not."),
            ("block", "slots:block", "Block a doctor's slots over a period."),
            ("unblock", "slots:unblock", "Open blocked slots again."),
        ),
    ),
    (
        "notifications",
        "Messages to patients and doctors.",
        (
            ("list", "notifications:list_all", "List messages by when they are due."),
            ("show", "notifications:show", "Show one message."),
            ("dead", "notifications:dead", "List dead letters."),
            ("retry", "notifications:retry", "Queue a dead letter for delivery again."),
            ("drop", "notifications:drop", "Give up on a dead letter and log it as failed."),
        ),
    ),
    (
        "maintenance",
        "What clinic worker does besides messages, such as opening slots.",
        (
            ("list", "maintenance:list_services", "List the services and how they last ran."),
            ("run", "maintenance:run", "Run one service now."),
        ),
    ),
    (
        "appointments",
        "Appointments.",
        (
            ("list", "appointments:list_all", "List appointments, earliest first."),
            ("show", "appointments:show", "Show one appointment."),
            ("book", "appointments:book_slot", "Book a slot for a patient."),
            ("move", "appointments:move", "Move an appointment to another slot."),
            ("cancel", "appointments:cancel", "Cancel an appointment; its slot is free again."),
            (
                "status",
                "appointments:status",
                "Change the status: confirm, arrive, complete or no-show.",
            ),
            ("undo", "appointments:undo", "Take back the last change of an appointment's status."),
            ("swap", "appointments:swap_two", "Exchange the slots of two appointments."),
            ("audit", "appointments:audit", "Print everything that happened to an appointment."),
        ),
    ),
    (
        "user",
        "People who sign in.",
        (
            ("add", "users:add", "Add a person in a role, and mail a link that sets a password."),
            ("list", "users:list_people", "List the clinic's people."),
            ("invite", "users:invite_again", "Mail a new invitation or password reset link."),
            ("disable", "users:disable", "Disable a person and end all their sessions."),
            ("enable", "users:enable", "Enable a person again."),
            (
                "offer",
                "users:offer",
                "Print an offer of membership of the clinic.",
            ),
            (
                "end-membership",
                "users:end_membership",
                "End a membership of the clinic.",
            ),
        ),
    ),
    (
        "audit",
        "The audit trail.",
        (
            ("seal", "audit:seal", "Seal finished rows once, or every few seconds with --every."),
            ("events", "audit:events", "List events of no clinic (such as guesses), or of one."),
            ("verify", "audit:verify", "Report sealed rows that have been changed since."),
            ("export", "audit:export", "Append new seals to a file in a folder elsewhere."),
        ),
    ),
)


def import_path(target: str) -> str:
    """Return the "package.module:function" of a command."""
    return target if target.startswith("clinic.") else f"{__package__}.{target}"


def overview() -> str:
    """Return the text that `clinic --help` prints."""
    rows = [(name, text) for name, _, text in COMMANDS]
    rows += [
        (f"{name} {'|'.join(command for command, _, _ in commands)}", text)
        for name, text, commands in GROUPS
    ]
    width = max(len(name) for name, _ in rows if len(name) <= NAME_WIDTH)
    lines = ["Usage: clinic COMMAND [OPTIONS]", "", "A clinic's appointments.", ""]
    for name, text in rows:
        # A long list of commands gets its own line.
        lines += [f"  {name}", f"  {'':{width}}  {text}"] if len(name) > width else []
        lines += [f"  {name:{width}}  {text}"] if len(name) <= width else []
    lines += [
        "",
        "clinic COMMAND --help shows a command's options; clinic --version prints the version.",
        "Settings are CLINIC_* variables or clinic.toml; clinic check shows what is wrong.",
    ]
    return "\n".join(lines)


NAME_WIDTH = 30
