"""How a command ends when it can't do what it was asked: what is wrong, what to do about it, and an exit code."""

from __future__ import annotations

from contracts.problem import Problem, problem_type

REFUSED = 1
"""A service, or a check, said no."""
USAGE = 2
"""The command itself was wrong: its options, or a file that can't be read."""
UNREACHABLE = 3
"""No broker, or no service behind it, answered."""

_STATUS = {REFUSED: 409, USAGE: 400, UNREACHABLE: 503}


class Failure(Exception):  # noqa: N818
    """Ends the command; ``what`` and ``remedy`` are one line each."""

    def __init__(
        self, what: str, remedy: str = "", *, code: int = REFUSED, problem: Problem | None = None, kind: str = ""
    ) -> None:
        """``kind`` tells failures of a connection apart: unreachable, unknown, distrusted."""
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.code = code
        self.kind = kind
        self.problem = problem or Problem(
            type=problem_type("command-line"), title=what, status=_STATUS[code], detail=remedy or None
        )
