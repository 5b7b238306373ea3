"""
Files that somebody gives, whatever they are: bounded before anything parses them.

A name may be a directory, a device without an end or a pipe into which nobody writes; a file may be larger than makes
sense, hold no text, or nest so deeply that a parser gives up. Each is said in a sentence.
"""

from __future__ import annotations

import json
import os
import select
import stat
import sys
from pathlib import Path
from typing import Any, Final

from cli.failure import USAGE, Failure

SMALL: Final = 1024 * 1024
"""Octets of what the tool itself writes: endpoints, keys, manifests."""
DEEPEST: Final = 64
"""Lists and objects within each other in JSON; our own are less than ten deep."""
_PIECE: Final = 1024 * 1024
_PATIENCE: Final = 20.0
"""Seconds in which something must come out of a pipe; a program that computes what we read takes less."""
_NAME = "Check the name and where you are ('pwd')."
_TABLES = frozenset({".csv", ".tsv", ".txt", ".xls", ".xlsx", ".ods"})
_EXCEL = "In Excel: Save As > CSV UTF-8 (Opslaan als > CSV UTF-8)."


def octets(path: Path, most: int) -> bytes:
    """
    What a file holds.

    Raises:
        Failure: it cannot be read, or has more than ``most`` octets.
    """
    try:
        # A pipe that nobody has opened for writing must not hold us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read(descriptor, path, most)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror or error}.", _NAME, code=USAGE) from None
    except ValueError:
        raise Failure(f"'{path}' is no name of a file.", _NAME, code=USAGE) from None


def typed_or_octets(name: str, most: int) -> bytes:
    """
    What a file holds, or what comes by standard input where the name is ``-``.

    Raises:
        Failure: it cannot be read, or has more than ``most`` octets.
    """
    if name != "-":
        return octets(Path(name), most)
    found = sys.stdin.buffer.read(most + 1)
    if len(found) > most:
        raise _too_large("Standard input", most)
    return found


def text(path: Path, most: int) -> str:
    """
    The text of a file, without a byte order mark.

    Raises:
        Failure: it cannot be read, is too large, or no text in UTF-8.
    """
    raw = octets(path, most)
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise Failure(f"{path} is a workbook, a document or an archive, not text.", _saved(path), code=USAGE)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Failure(f"{path} is UTF-16, not UTF-8.", _saved(path), code=USAGE)
    if (at := raw.find(0)) >= 0:
        raise Failure(
            f"{path} is no text: line {_line(raw, at)} holds a NUL.",
            f"Give the text itself, not a workbook or a document. {_saved(path)}",
            code=USAGE,
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failure(
            f"{path} is not UTF-8 text (line {_line(raw, error.start)}, byte {error.start}).",
            _saved(path),
            code=USAGE,
        ) from None


def parsed(document: str | bytes) -> Any:
    """
    What a JSON document says.

    Raises:
        ValueError: it is none, or nests deeper than ``DEEPEST``.
    """
    try:
        found = json.loads(document)
    except RecursionError:
        raise ValueError(f"it nests more than {DEEPEST} deep") from None
    level = [found]
    for _ in range(DEEPEST + 1):
        level = [each for node in level if isinstance(node, dict | list) for each in _within(node)]
        if not level:
            return found
    raise ValueError(f"it nests more than {DEEPEST} deep")


def kept(path: Path) -> dict[str, str]:
    """
    What an earlier start kept in a file of ours, a JSON object of words; nothing where there is no file yet.

    Raises:
        Failure: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        found = parsed(text(path, SMALL))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise Failure(f"{path} is damaged: remove it while nothing runs, and the next start makes another.")
    return found


def _within(node: dict[str, Any] | list[Any]) -> list[Any]:
    return list(node.values()) if isinstance(node, dict) else node


def _read(descriptor: int, path: Path, most: int) -> bytes:
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise Failure(f"{path} is a directory.", "Name a file in it.", code=USAGE)
    regular = stat.S_ISREG(status.st_mode)
    if regular and status.st_size > most:
        raise _too_large(path, most)
    found = bytearray()
    while len(found) <= most:
        if not regular:
            _wait(descriptor, path)
        piece = os.read(descriptor, min(_PIECE, most + 1 - len(found)))
        if not piece:
            return bytes(found)
        found += piece
    raise _too_large(path, most)


def _wait(descriptor: int, path: Path) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(_PATIENCE * 1000):
        raise Failure(
            f"Nothing came out of {path} within {_PATIENCE:g} seconds.", "Write it to a file first.", code=USAGE
        )


def _too_large(name: object, most: int) -> Failure:
    size = f"{most // (1024 * 1024)} MiB" if most >= 1024 * 1024 else f"{most // 1024} KiB"
    return Failure(f"{name} is larger than {size}.", "Give the file that is meant, or part it.", code=USAGE)


def _saved(path: Path) -> str:
    in_excel = f" {_EXCEL}" if path.suffix.lower() in _TABLES else ""
    return f"Save it as UTF-8 in your editor.{in_excel}"


def _line(raw: bytes, at: int) -> int:
    return raw.count(b"\n", 0, at) + 1
