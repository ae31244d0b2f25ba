"""The contract of Calendars and CalendarReader."""

from clinic.testing.contracts.hours import HoursContract
from clinic.testing.contracts.slots_reading import SlotReaderContract
from clinic.testing.contracts.slots_writing import SlotWriterContract


class CalendarsContract(SlotReaderContract, HoursContract, SlotWriterContract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""
