"""What the doctor finds: each with what to do and where to read more."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

RUNBOOK: Final = "docs/operations.md"

Section = Literal[
    "where-to-look-first",
    "the-broker-does-not-answer",
    "wrong-credentials",
    "certificates",
    "clocks",
    "a-service-does-not-answer",
    "a-database-newer-than-the-code",
    "a-relay-does-not-follow",
    "a-reader-is-behind",
    "a-stream-is-full",
    "broker-disk-lost",
    "a-server-of-the-broker-is-gone",
    "database-lost",
    "disk-full",
    "mail-relay-down",
    "mails-that-stay-under-way",
    "mail-that-comes-back-is-not-taken",
    "mails-that-wait-for-a-person",
    "mails-of-unknown-fate",
    "more-mails-than-the-caps-allow",
    "personal-links",
    "addresses-to-which-nothing-is-sent",
    "mails-refused-because-of-us",
    "poisoned-intake",
    "a-persons-data-to-be-erased",
]
"""The headings of the runbook, as links name them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that is wrong, or that somebody should look at.

    Attributes:
        part: what it is about: ``broker``, a stream, a service, a file.
        code: names this kind of finding for programs.
        what: in plain words.
        remedy: what to do now.
        section: the section of the runbook.
        wrong: whether something does not work; otherwise it will not for long, or a person has to decide.
    """

    part: str
    code: str
    what: str
    remedy: str
    section: Section
    wrong: bool = True

    @property
    def runbook(self) -> str:
        """The page and the section."""
        return f"{RUNBOOK}#{self.section}"


@dataclass(slots=True)
class Report:
    """All findings, what was looked at, and what could not be."""

    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.wrong for finding in self.findings)

    def add(self, part: str, code: str, what: str, remedy: str, section: Section, *, wrong: bool = True) -> None:
        """Note a finding."""
        self.findings.append(Finding(part, code, what, remedy, section, wrong))

    def document(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "well": self.well,
            "findings": [{**asdict(finding), "runbook": finding.runbook} for finding in self.findings],
            "checked": self.checked,
            "skipped": self.skipped,
        }
