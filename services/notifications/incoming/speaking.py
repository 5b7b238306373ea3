"""How the process that reads mails is spoken to, and what it may take."""

from __future__ import annotations

import struct
from typing import Final

LENGTH: Final = struct.Struct(">I")
READ: Final = b"R"
READ_OF_NOBODY: Final = b"N"
READ_OF_SOMEBODY: Final = b"S"
"""The same, of a mail whose envelope has the null sender (RFC 5321 §4.5.5), or another."""
ADDRESSES: Final = b"A"
READY: Final = b"ready"
OUT_OF_MEMORY: Final = 70

LARGEST_MEMORY: Final = 384 * 1024 * 1024
"""Octets of its address space, of which the largest mail takes two thirds. Beside the service it fits into 512 MiB."""

LONGEST_CPU: Final = 10
"""Seconds of a processor for one mail. The largest and the most intricate that is parsed takes one or two."""

LONGEST_WAIT: Final = 60.0
"""Seconds by the clock for one mail, on a machine that has other work too."""

LARGEST_ANSWER: Final = 1_000_000
"""Octets of what it says about one mail."""
