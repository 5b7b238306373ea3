"""
Counting, as functions of frozen data: no clock, no I/O, no randomness.

``evolve(state, fact)`` remembers what the reports need to know of a fact; the reports are computed from the state when
somebody asks. Read ``state`` first, then ``evolution``, ``counting`` (one pass over a programme's enrolments) and the
reports made of it: ``programmes``, ``participation``, ``themes``; ``canonical`` is all of them together.
"""

from hashlib import sha256
from pathlib import Path

from services.reporting.domain.canonical import canonical, digest
from services.reporting.domain.evolution import evolve
from services.reporting.domain.participation import participation
from services.reporting.domain.programmes import programme_list, programme_report
from services.reporting.domain.state import CODECS, themes, token
from services.reporting.domain.themes import theme_report

CODE = sha256(b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()
"""
This very code. What another counted may differ: it may have passed over facts that this one has a word for.

The whole text rather than a number that somebody has to raise: to count once too often costs seconds.
"""

__all__ = [
    "CODE",
    "CODECS",
    "canonical",
    "digest",
    "evolve",
    "participation",
    "programme_list",
    "programme_report",
    "theme_report",
    "themes",
    "token",
]
