"""nkeys: a seed in a file of its owner, its public half with the broker."""

from __future__ import annotations

import os
from pathlib import Path

import nkeys  # type: ignore[import-untyped]

from cli import private
from deploy.configuration import InvalidCredential, PublicKey


def make_seed(path: Path) -> PublicKey:
    """Write a new seed to ``path``, readable by its owner alone. Returns the public half."""
    private.folder(path.parent)
    seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    private.write(path, seed.decode() + "\n")
    return _public_half(seed)


def public_key_of(path: Path) -> PublicKey:
    """
    The public half of the seed in ``path``.

    Raises:
        InvalidCredential: the file holds no seed of an nkey user. Nothing of it is repeated.
        OSError: it cannot be read.
    """
    try:
        return _public_half(path.read_bytes().strip())
    except (nkeys.NkeysError, ValueError, TypeError) as error:
        raise InvalidCredential(f"{path} does not hold the seed of an nkey user (SU and 56 characters)") from error


def _public_half(seed: bytes) -> PublicKey:
    pair = nkeys.from_seed(seed)
    try:
        return PublicKey(pair.public_key.decode())
    finally:
        pair.wipe()
