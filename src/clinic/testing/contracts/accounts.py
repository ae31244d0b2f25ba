"""What every store must do about accounts and sessions."""

from clinic.testing.contracts.account_records import AccountRecordsContract
from clinic.testing.contracts.sessions import SessionsContract


class AccountsContract(AccountRecordsContract, SessionsContract, contract=True):
    """Accounts and sessions. Give it a fixture `store`: an open, empty Store."""
