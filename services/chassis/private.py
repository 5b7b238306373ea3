"""
Files and folders that are their owner's alone: a service's databases, copies and mails say who people are.

``cli/private.py`` is the same for the tool and the deployment, which share no code with the services.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

UMASK = 0o077
FILE = 0o600
FOLDER = 0o700
_OTHERS = 0o077


def begin(data: Path) -> None:
    """
    Have nothing that this process makes be readable by others, SQLite's files and libraries' included, and nothing
    that is in ``data`` from before: earlier releases, or somebody's copying, let others read it.
    """
    os.umask(UMASK)
    top = data.resolve()
    narrow(top)
    for parent, folders, files in os.walk(top):
        narrow(*(Path(parent, name) for name in (*folders, *files)))


def folder(path: Path) -> None:
    """Make a folder, and those above it that are missing. One that is there stays as it is."""
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


def database(path: Path) -> None:
    """
    Have the database at ``path`` be its owner's alone, made empty when it is missing.

    SQLite gives a database's mode to the files that it makes beside it.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE))
    # Never by opening it: closing a file again drops the locks that SQLite holds on it in this process.
    narrow(*(path.with_name(f"{path.name}{end}") for end in ("", "-wal", "-shm", "-journal")))


def narrow(*paths: Path) -> None:
    """Take from others what they may do with these files and folders."""
    for path in paths:
        # What is not ours (the root of a volume) is for its owner to close; what is gone by now needs it no more.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            seen = path.lstat().st_mode
            # A link has no mode of its own, and /tmp and its like are everybody's by intention.
            if seen & _OTHERS and not stat.S_ISLNK(seen) and not seen & stat.S_ISVTX:
                path.chmod(stat.S_IMODE(seen) & ~_OTHERS)
