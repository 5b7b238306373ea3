"""What the tool proves to the broker who it is with: the seed of an nkey, in a file."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from cli.failure import Failure
from cli.reading import SMALL, octets

_SEED = re.compile(rb"SU[A-Z2-7]{56}")


def seed(path: Path) -> str:
    """
    The seed of a user that a file holds.

    Raises:
        OSError: it holds none, or cannot be read. Nothing of it is repeated.
    """
    try:
        text = octets(path, SMALL).strip()
    except Failure as failure:
        raise OSError(failure.what.removesuffix(".")) from None
    if not _is_seed(text):
        raise OSError(f"{path} does not hold the seed of an nkey user (SU and 56 characters)")
    return text.decode("ascii")


def _is_seed(text: bytes) -> bool:
    """Base 32 of a prefix, 32 octets and their checksum (nats-io/nkeys), which nats-py does not look at."""
    if not _SEED.fullmatch(text):
        return False
    found = base64.b32decode(text + b"=" * (-len(text) % 8))
    return binascii.crc_hqx(found[:-2], 0) == int.from_bytes(found[-2:], "little")
