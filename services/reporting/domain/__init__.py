"""
Counting, as functions of frozen data: no clock, no I/O, no randomness.

``evolve(state, fact)`` remembers what the reports need to know of a fact; the reports are computed from the state when
somebody asks. Read ``state`` first, then ``evolution``, ``counting`` (one pass over a programme's enrolments) and the
reports made of it: ``programmes``, ``participation``, ``themes``; ``canonical`` is all of them together.
"""

from services.reporting.domain.canonical import canonical, digest
from services.reporting.domain.evolution import evolve
from services.reporting.domain.participation import participation
from services.reporting.domain.programmes import programme_list, programme_report
from services.reporting.domain.state import CODECS, themes, token
from services.reporting.domain.themes import theme_report

__all__ = [
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
