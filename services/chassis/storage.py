"""What a database's failures mean, in words for whoever has to mend them."""

from __future__ import annotations

import sqlite3

_IN_WORDS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_BUSY: "another program holds the database",
    sqlite3.SQLITE_READONLY: "the database, or its disk, is read-only",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
}


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code, the lowest byte of what it says (https://sqlite.org/rescode.html); 0 of others."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def in_words(error: BaseException) -> str:
    """What is wrong; of what has no words here, what SQLite says."""
    return _IN_WORDS.get(primary_code(error)) or str(error) or type(error).__name__
