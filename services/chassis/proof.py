"""What a service proves to the broker that it is itself with: the seed of an nkey, in a file."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from services.chassis.encryption import NotLetIn

_LARGEST = 1024
_SEED = re.compile(rb"SU[A-Z2-7]{56}")


class UnusableSeed(NotLetIn):
    """The file that should hold a seed holds none."""


def check_seed(path: Path | str) -> None:
    """
    Look whether a file holds the seed of a user.

    nats-py reads it itself, at each connection; what is wrong with it then has it try again for ever.

    Raises:
        UnusableSeed: it does not, or it cannot be read. Nothing of it is repeated.
    """
    try:
        with Path(path).open("rb") as file:
            seed = file.read(_LARGEST).strip()
    except OSError as error:
        raise UnusableSeed(f"the seed {path} cannot be read: {error.strerror}") from error
    if not _is_seed(seed):
        raise UnusableSeed(f"{path} does not hold the seed of an nkey user (SU and 56 characters)")


def _is_seed(text: bytes) -> bool:
    """Base 32 of a prefix, 32 octets and their checksum (nats-io/nkeys), which nats-py does not look at."""
    if not _SEED.fullmatch(text):
        return False
    octets = base64.b32decode(text + b"=" * (-len(text) % 8))
    return binascii.crc_hqx(octets[:-2], 0) == int.from_bytes(octets[-2:], "little")
