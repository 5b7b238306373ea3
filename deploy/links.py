"""The keys of personal links, as files that ``services/chassis/links.py`` reads: made at random, and rotated."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from cli import private

LINKED = ("registration", "notifications")
"""The services that have the keys: one answers the links that the other mails."""
_HEADING = "# Keys of personal links. The first makes them, all are believed."
_KEY = re.compile(r"([a-z0-9]{1,16}) [A-Za-z0-9_-]{43,200}={0,2}")


class NoLinkKeys(ValueError):  # noqa: N818 - it reads as what is wrong
    """A file does not begin with a key that could be kept; the message repeats nothing of it."""


def new_link_keys() -> str:
    """A file with one new key."""
    return _file(_new_key())


def rotated(text: str) -> str:
    """
    The file with a new key on top of its newest; those before that are gone.

    Raises:
        NoLinkKeys: there is no newest.
    """
    lines = (line.strip() for line in text.splitlines())
    newest = next((line for line in lines if line and not line.startswith("#")), "")
    if not _KEY.fullmatch(newest):
        raise NoLinkKeys("no key to keep stands on top of it: delete the file, and configure again for a new one")
    return _file(_new_key(), newest)


def keep_link_keys(path: Path) -> Path:
    """Make the file if there is none, readable by its owner alone."""
    if not path.exists():
        private.write(path, new_link_keys())
    return path


def names_of(text: str) -> tuple[str, ...]:
    """The names of the keys in a file that was made here, the newest first."""
    return tuple(found[1] for line in text.splitlines() if (found := _KEY.fullmatch(line)))


def _new_key() -> str:
    return f"{secrets.token_hex(4)} {secrets.token_urlsafe(32)}"


def _file(*keys: str) -> str:
    return "\n".join((_HEADING, *keys, ""))
