"""The installation's key, and what stands for an address where the address itself may not be kept."""

from __future__ import annotations

import hmac
import sqlite3
from hashlib import sha256

from contracts.base import same_address
from services.notifications.hygiene import UnusableAddress, mailbox


def key(connection: sqlite3.Connection) -> bytes:
    """What the first start made and every later one finds."""
    return bytes(connection.execute("SELECT value FROM installation WHERE name = 'key'").fetchone()[0])


def fingerprint(key: bytes, address: str) -> str:
    """
    The same for two spellings of one address, and of no use without the key.

    An address without a key would be found by trying addresses: a hash alone hides nothing that is easily guessed.
    """
    try:
        address = mailbox(address)
    except UnusableAddress:
        address = address.strip()
    return hmac.new(key, b"address:" + same_address(address).encode(), sha256).hexdigest()[:32]
