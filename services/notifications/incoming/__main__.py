"""
The process that reads mails: bytes in, what they say out, and no more memory or time than a mail may take.

``python -m services.notifications.incoming`` is started by services.notifications.inbox.reader, which speaks to it over
standard input and output: a letter (``R``, ``N``, ``S``: read it, ``A``: addresses alone), the number of octets
in four, the mail; back come the number of octets and JSON. Before that it says that it can read at all. It ends when
nobody asks any more, by SIGXCPU when a mail takes too long, and with ``OUT_OF_MEMORY``.

It has no secret in its environment, opens nothing, and writes nowhere else: what stands in a mail is in no log.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import sys
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from services.notifications.incoming.addresses import mentioned
from services.notifications.incoming.content import Read, Reply, Report, Unclear
from services.notifications.incoming.reading import read
from services.notifications.incoming.speaking import (
    LARGEST_MEMORY,
    LENGTH,
    LONGEST_CPU,
    OUT_OF_MEMORY,
    READ,
    READ_OF_NOBODY,
    READ_OF_SOMEBODY,
    READY,
)

_ORDINARY = (
    (
        b"Content-Type: multipart/report; boundary=b; report-type=delivery-status\r\n\r\n"
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        b"Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\n\r\n--b--\r\n",
        Report,
    ),
    (
        b"From: a@b.example\r\nContent-Type: text/calendar; method=REPLY\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REPLY\r\n"
        b"BEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20230302T120000Z\r\nATTENDEE:mailto:a@b.example\r\n"
        b"END:VEVENT\r\nEND:VCALENDAR\r\n",
        Reply,
    ),
    (b"From: postmaster@b.example\r\n\r\nWords.\r\n", Unclear),
)
"""One of each kind: who reads these has imported all it needs, and what it fails over later is the mail's doing."""


_READS = {READ: None, READ_OF_NOBODY: True, READ_OF_SOMEBODY: False}


def serve(asked: BinaryIO, said: BinaryIO) -> None:
    """Answer until nobody asks."""
    for raw, kind in _ORDINARY:
        if not isinstance(content := read(raw).content, kind):
            sys.exit(f"an ordinary mail was read as {type(content).__name__}")
    _limit(resource.RLIMIT_AS, LARGEST_MEMORY)
    _limit(resource.RLIMIT_FSIZE, 0)
    _say(said, READY)
    while letter := asked.read(1):
        (length,) = LENGTH.unpack(asked.read(LENGTH.size))
        raw = asked.read(length)
        if len(raw) < length:
            return
        _limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + LONGEST_CPU)
        try:
            known = letter in _READS
            found = read(raw, _READS[letter]) if known else Read(Unclear(""), (), mentioned(raw, None))
            answer = _document(found)
        except MemoryError:
            # Whatever is left of it, nobody can say what else lacks now.
            os._exit(OUT_OF_MEMORY)
        _say(said, answer)


def _document(found: Read) -> bytes:
    # What an octet of no character set became is no text elsewhere.
    return json.dumps(asdict(found), default=_plain, ensure_ascii=False).encode("utf-8", "replace")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(type(value).__name__)


def _say(said: BinaryIO, text: bytes) -> None:
    said.write(LENGTH.pack(len(text)) + text)
    said.flush()


def _limit(what: int, most: int) -> None:
    """Lower a limit of this process; one that is lower already stays."""
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def main() -> None:
    """Be asked by whoever started this process."""
    # A terminal and systemd tell a service's children to stop too: it is the service that ends this one.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where memory is short, the kernel ends this process rather than the service.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
