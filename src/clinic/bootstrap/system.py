"""Adapters that depend on no setting: the clock, phone numbers, time zones."""

from clinic.ports.clock import Clock


def shown_phone(number: str) -> str:
    """Return a stored phone number formatted for people."""
    from clinic.adapters.system.phone_numbers import WorldPhoneNumbers

    return WorldPhoneNumbers().shown(number)


def zone_data() -> str:
    """Return where Python reads time zones, and which release of the data that is."""
    from clinic.adapters.postgres.checks.zones import source_of

    return source_of("Europe/London")


def system_clock() -> Clock:
    """Return the machine's clock."""
    from clinic.adapters.system.clock import SystemClock

    return SystemClock()
