"""
Files and folders that are their owner's alone: nearly all that Deelname writes is secret or personal.

Each process begins by ``begin``, so that what libraries make is nobody else's either. What is written by way of this
module is so whatever the umask, from its first byte. ``services/chassis/private.py`` is the same for the services,
which share no code with the tool.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

UMASK = 0o077
FILE = 0o600
FOLDER = 0o700
_OTHERS = 0o077


def begin() -> None:
    """Have nothing that this process or its children make be readable by others."""
    os.umask(UMASK)


def folder(path: Path) -> None:
    """Make a folder, and those above it that are missing. One that is there stays as it is, see ``narrow``."""
    try:
        path.mkdir(FOLDER)
    except FileNotFoundError:
        folder(path.parent)
        folder(path)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        path.chmod(FOLDER)


def new(path: Path) -> BinaryIO:
    """
    A new file, open to be written.

    Raises:
        FileExistsError: there is one already.
    """
    return _opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, "wb")


def appended(path: Path) -> BinaryIO:
    """A file at whose end is written; made when it is missing, narrowed when it is there."""
    return _opened(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, "ab+")


def write(path: Path, content: str | bytes, *, mode: int = FILE, owner: int | None = None) -> None:
    """
    Replace a file as a whole: a reader sees the old content or the new, never a half.

    Args:
        path: the file.
        content: text is written as UTF-8.
        mode: more than the owner's for what everybody may read.
        owner: the user it is handed to; None for who writes it. Only root hands files to others.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    try:
        with new(beside) as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if owner is not None and owner != os.geteuid():
                os.fchown(file.fileno(), owner, -1)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def export(path: Path, content: bytes) -> None:
    """Write what somebody asked for to where they said: a file of theirs alone, or a pipe or a device as it is."""
    with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "wb") as file:
        file.write(content)


def narrow(*paths: Path) -> None:
    """Take from others what they may do with these files and folders: earlier releases, or a copy, let them read."""
    for path in paths:
        # What is not ours is for its owner to close; what is gone by now needs it no more.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            seen = path.lstat().st_mode
            # A link has no mode of its own, and /tmp and its like are everybody's by intention.
            if seen & _OTHERS and not stat.S_ISLNK(seen) and not seen & stat.S_ISVTX:
                path.chmod(stat.S_IMODE(seen) & ~_OTHERS)


def narrow_all(*folders: Path, leave: Collection[str] = ()) -> None:
    """``narrow`` folders and all that is in them, but for files of the names in ``leave``."""
    for each in folders:
        top = each.resolve()
        narrow(top)
        for parent, inner, files in os.walk(top):
            narrow(*(Path(parent, name) for name in (*inner, *files) if name not in leave))


def _opened(path: Path, flags: int, how: str) -> BinaryIO:
    descriptor = os.open(path, flags | os.O_CLOEXEC, FILE)
    try:
        seen = os.fstat(descriptor)
        if stat.S_ISREG(seen.st_mode) and seen.st_mode & _OTHERS:
            os.fchmod(descriptor, FILE)
        return os.fdopen(descriptor, how)  # type: ignore[return-value]
    except BaseException:
        os.close(descriptor)
        raise
