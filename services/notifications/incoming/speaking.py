"""How the process that reads mails is spoken to, and what it may take."""

from __future__ import annotations

import struct
from typing import Final

LENGTH: Final = struct.Struct(">I")
READ: Final = b"R"
ADDRESSES: Final = b"A"
READY: Final = b"ready"
OUT_OF_MEMORY: Final = 70

LARGEST_MEMORY: Final = 512 * 1024 * 1024
"""Octets of its address space. The largest mail takes a third of that."""

LONGEST_CPU: Final = 10
"""Seconds of a processor for one mail. The largest and the most intricate that is parsed takes one or two."""

LONGEST_WAIT: Final = 60.0
"""Seconds by the clock for one mail, on a machine that has other work too."""

LARGEST_ANSWER: Final = 1_000_000
"""Octets of what it says about one mail."""
