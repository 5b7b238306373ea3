"""The tokens in memory, so that none is looked up on disk when it is shown; and the days on which they were used."""

from __future__ import annotations

from datetime import date

from services.chassis.access import Token
from services.chassis.database import Database
from services.registration.batch import Batch
from services.registration.store import accounts


class Tokens:
    """What ``access.Verifier`` finds tokens by, and tells of their use."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tokens: dict[str, Token] = {}
        self._used: dict[str, date] = {}
        self._noted: dict[str, date] = {}

    async def load(self) -> None:
        """Begin with what the database holds."""
        self._tokens = await self._database.run(accounts.tokens)

    def find(self, account: str) -> Token | None:
        """The token of an account, unless it was revoked."""
        return self._tokens.get(account)

    def used(self, account: str, day: date) -> None:
        """Take note; ``note`` writes it down."""
        self._used[account] = day

    def committed(self, batch: Batch) -> None:
        """Take over what a batch has made or revoked."""
        for account, token in batch.tokens.items():
            if token is None:
                self._tokens.pop(account, None)
            else:
                self._tokens[account] = token

    async def note(self) -> None:
        """Write down the days that are new."""
        uses = {account: day for account, day in self._used.items() if self._noted.get(account) != day}
        if uses:
            await self._database.transact(lambda connection: accounts.note_uses(connection, uses))
            self._noted |= uses
