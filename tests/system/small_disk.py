"""
``python -m tests.system.small_disk services.NAME`` runs a service whose data is on a small disk of its own.

The disk is a tmpfs in a mount namespace of the process: nobody else sees it, and it is gone with the process. Others
reach it by ``/proc/PID/root``. Needs root.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import sys
from pathlib import Path

MEBIBYTES = 6

# Of <sched.h> and <sys/mount.h>; Python has unshare from 3.12 on.
_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000


def mount(directory: Path) -> None:
    """
    Lay an empty disk over a directory, for this process and its children alone.

    Raises:
        OSError: this process may not.
    """
    system = ctypes.CDLL(None, use_errno=True)

    def must(result: int) -> None:
        if result:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(directory))

    directory.mkdir(parents=True, exist_ok=True)
    must(system.unshare(_CLONE_NEWNS))
    # Without this the others would see it wherever mounts are shared, which systemd has them be.
    must(system.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))
    size = f"size={MEBIBYTES}m".encode()
    must(system.mount(b"tmpfs", bytes(directory), b"tmpfs", ctypes.c_ulong(0), size))


if __name__ == "__main__":
    mount(Path(os.environ["DEELNAME_DATA"]))
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
