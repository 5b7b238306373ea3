"""The accounts of the staff: tokens, and who was signed in by the proxy."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from contracts.queries import TokenView
from services.chassis.access import Token

_COLUMNS = "account, name, role, organisations, since, expires, revoked, used"


def tokens(connection: sqlite3.Connection) -> dict[str, Token]:
    """The tokens that were not revoked, by account."""
    rows = connection.execute(
        "SELECT account, digest, role, organisations, expires FROM accounts WHERE kind = 'token' AND revoked IS NULL"
    )
    return {
        account: Token(
            account, digest, role, tuple(json.loads(of)), datetime.fromisoformat(expires) if expires else None
        )
        for account, digest, role, of, expires in rows
    }


def add_token(connection: sqlite3.Connection, token: Token, name: str, now: datetime) -> None:
    """Keep what is to be known of a token."""
    connection.execute(
        "INSERT INTO accounts (account, kind, name, since, role, organisations, digest, expires)"
        " VALUES (?, 'token', ?, ?, ?, ?, ?, ?)",
        (
            token.account,
            name,
            now.isoformat(),
            token.role,
            json.dumps(token.organisations),
            token.digest,
            token.expires.isoformat() if token.expires else None,
        ),
    )


def revoke(connection: sqlite3.Connection, account: str, now: datetime) -> None:
    """Let a token be worth nothing. Its row stays: facts name the account."""
    connection.execute("UPDATE accounts SET revoked = ? WHERE account = ?", (now.isoformat(), account))


def token(connection: sqlite3.Connection, *, account: str | None = None, name: str | None = None) -> TokenView | None:
    """A token that was not revoked."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM accounts WHERE kind = 'token' AND revoked IS NULL AND (account = ? OR name = ?)",  # noqa: S608
        (account, name),
    ).fetchone()
    return _view(row) if row else None


def all_tokens(connection: sqlite3.Connection) -> list[TokenView]:
    """Every token there ever was, the newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM accounts WHERE kind = 'token' ORDER BY account DESC"  # noqa: S608
    )
    return [_view(row) for row in rows]


def _view(row: tuple[Any, ...]) -> TokenView:
    account, name, role, of, since, expires, revoked, used = row
    return TokenView(
        account=account,
        name=name,
        role=role,
        organisations=tuple(json.loads(of)),
        created=since,
        expires=expires,
        revoked=revoked,
        used=used,
    )


def note_uses(connection: sqlite3.Connection, uses: Mapping[str, date]) -> None:
    """Remember the day on which tokens were last used."""
    connection.executemany(
        "UPDATE accounts SET used = ? WHERE account = ?", [(day.isoformat(), account) for account, day in uses.items()]
    )


def account_of(connection: sqlite3.Connection, subject: str) -> str | None:
    """The account of whom the proxy calls so."""
    row = connection.execute(
        "SELECT account FROM accounts WHERE kind = 'proxy' AND name = ? AND revoked IS NULL", (subject,)
    ).fetchone()
    return row[0] if row else None


def add_account(connection: sqlite3.Connection, account: str, subject: str, now: datetime) -> None:
    """Give somebody whom the proxy signed in an account."""
    connection.execute(
        "INSERT INTO accounts (account, kind, name, since) VALUES (?, 'proxy', ?, ?)",
        (account, subject, now.isoformat()),
    )


def names(connection: sqlite3.Connection, accounts: Iterable[str]) -> dict[str, str]:
    """What the accounts are called."""
    wanted = sorted(set(accounts))
    rows = connection.execute(
        "SELECT account, name FROM accounts WHERE account IN (SELECT value FROM json_each(?))", (json.dumps(wanted),)
    )
    return dict(rows)
