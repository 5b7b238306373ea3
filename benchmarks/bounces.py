"""
How well bounces are understood, on a directory of mails with verdicts that somebody wrote beside them.

The verdicts are a table of tab-separated values without a heading: the file's name, the address that the mail went to
(empty where the report names but one), and what its words mean: ``gone``, ``alive`` (a full mailbox, a server that does
not answer, a refusal that may pass), ``ours``, ``delayed``, ``automatic`` or ``person``. A fourth column names the
producer; without one it is the file's name up to its number. Public mails to measure are the test mails of Sisimai
(sisimai/set-of-emails) and of flufl.bounce; they are not ours to keep here.

    python -m benchmarks.bounces DIRECTORY VERDICTS.tsv [--wrong]
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from services.notifications.domain.failures import about
from services.notifications.incoming.content import Automatic, OddReport, Reply, Report
from services.notifications.incoming.reading import read

_BOUNCES = frozenset({"gone", "failing", "unreachable", "ours"})
_RIGHT = {
    "gone": {"gone"},
    "alive": {"failing", "unreachable"},
    "ours": {"ours"},
    "delayed": {"delayed"},
    "automatic": {"automatic"},
    "person": {"kept"},
}


class Judged(NamedTuple):
    """One mail: what it means, and what it was taken for."""

    file: str
    producer: str
    wanted: str
    found: str

    @property
    def right(self) -> bool:
        """Whether it was taken for just that."""
        return self.found in _RIGHT[self.wanted]


class Figures(NamedTuple):
    """
    What counts, for any number of mails.

    Attributes:
        gone: mails about addresses that do not exist, and how many were seen so.
        alive: mails about addresses that do, and how many of these were cut off.
        lost: mails that no machine should throw away, and were.
        answers: answers of machines that were taken for bounces.
        right: how many were taken for just what they are.
    """

    mails: int
    gone: tuple[int, int]
    alive: tuple[int, int]
    lost: int
    answers: int
    right: int


def taken_for(raw: bytes, mailed: str | None) -> str:
    """What a mail is taken for: a verdict, ``delayed``, ``automatic``, ``reply``, or ``kept`` for a person."""
    content = read(raw.partition(b"\n")[2] if raw.startswith(b"From ") else raw).content
    if isinstance(content, Report | OddReport):
        said = about(content, mailed)
        done = {"delayed": "delayed", "other": "automatic"}
        return (said.verdict or "kept") if said.done == "failed" else done[said.done]
    if isinstance(content, Automatic):
        return "delayed" if "still tries" in content.what else "automatic"
    return "reply" if isinstance(content, Reply) else "kept"


def judged(directory: Path, verdicts: Path) -> Iterator[Judged]:
    """
    Each mail that the table names.

    Raises:
        ValueError: the table has a verdict that nobody knows.
        OSError: a file is not there.
    """
    with verdicts.open(encoding="utf-8", newline="") as lines:
        for file, mailed, wanted, *producer in csv.reader(lines, delimiter="\t"):
            if wanted not in _RIGHT:
                raise ValueError(f"{file}: {wanted!r} is none of {', '.join(_RIGHT)}")
            name = producer[0] if producer else re.split(r"[-_]?\d", Path(file).stem)[0]
            yield Judged(file, name, wanted, taken_for((directory / file).read_bytes(), mailed or None))


def figures(mails: Iterable[Judged]) -> Figures:
    """Count them."""
    pairs = Counter((each.wanted, each.found) for each in mails)

    def count(wanted: Iterable[str], found: Iterable[str] | None = None) -> int:
        return sum(n for (w, f), n in pairs.items() if w in set(wanted) and (found is None or f in set(found)))

    return Figures(
        mails=pairs.total(),
        gone=(count(["gone"]), count(["gone"], ["gone"])),
        alive=(count(["alive", "ours"]), count(["alive", "ours"], ["gone"])),
        lost=count(["gone", "alive", "ours", "person"], ["automatic", "delayed"]),
        answers=count(["automatic"], _BOUNCES),
        right=sum(number for (wanted, found), number in pairs.items() if found in _RIGHT[wanted]),
    )


def main() -> None:
    """Print a line for each producer, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("verdicts", type=Path)
    parser.add_argument("--wrong", action="store_true", help="name the mails that were taken for something else")
    asked = parser.parse_args()
    mails = list(judged(asked.directory, asked.verdicts))
    by_producer: dict[str, list[Judged]] = defaultdict(list)
    for each in mails:
        by_producer[each.producer].append(each)
    print(f"{'producer':24}{'mails':>6}{'gone':>9}{'cut off':>9}{'lost':>6}{'answers':>9}{'right':>7}")
    for name, own in [*sorted(by_producer.items()), ("all", mails)]:
        found = figures(own)
        gone, alive = (f"{found.gone[1]}/{found.gone[0]}", f"{found.alive[1]}/{found.alive[0]}")
        print(f"{name:24}{found.mails:6}{gone:>9}{alive:>9}{found.lost:6}{found.answers:9}{found.right:7}")
    if asked.wrong:
        for each in mails:
            if not each.right:
                print(f"{each.file}: {each.wanted}, taken for {each.found}")


if __name__ == "__main__":
    main()
