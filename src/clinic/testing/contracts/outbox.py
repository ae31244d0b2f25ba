"""What an Outbox must do: give each message to one worker at a time, and lose none.

Its own clock decides what is due, so these tests use the real time and short leases.
"""

from clinic.testing.contracts.outbox_claims import OutboxClaimsContract
from clinic.testing.contracts.outbox_endings import OutboxEndingsContract
from clinic.testing.contracts.outbox_reading import OutboxReadingContract
from clinic.testing.contracts.outbox_steps import LEASE as LEASE
from clinic.testing.contracts.outbox_steps import Sent as Sent
from clinic.testing.contracts.outbox_steps import claimed as claimed
from clinic.testing.contracts.outbox_steps import publish as publish
from clinic.testing.contracts.outbox_steps import seed_message as seed_message


class OutboxContract(
    OutboxClaimsContract, OutboxEndingsContract, OutboxReadingContract, contract=True
):
    """Give it a fixture `store`: an open, empty Store."""
