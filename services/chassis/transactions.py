"""A transaction on a connection: all of it is on disk when it has ended, or nothing of it has happened."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from services.chassis import metrics

Result = TypeVar("Result")

_TRANSACTIONS = metrics.durations(
    "deelname_database_transaction_duration_seconds", "A transaction, from its BEGIN until it is on disk or undone."
)


def in_transaction(connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], Result]) -> Result:
    """Call ``function`` between BEGIN IMMEDIATE and COMMIT; an error in it undoes all that it did."""
    begun = monotonic()
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = function(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    finally:
        _TRANSACTIONS.observe(monotonic() - begun)
    return result
