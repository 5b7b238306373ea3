"""What a mail that came in says about the one mail that it is about: whether it failed, and what that means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from contracts.base import same_address
from services.notifications.domain.bouncing import Verdict, judge
from services.notifications.incoming.content import OddReport, RecipientReport, Report

Done = Literal["failed", "delayed", "other"]


@dataclass(frozen=True, slots=True)
class Failure:
    """
    What became of a mail, by a report.

    Attributes:
        done: whether it failed, is still tried, or something else that ``action`` names.
        verdict: what the failure means; None where nothing was understood of what is said, nor for whom.
        said: what the refusing server said, as far as a colleague should read it.
    """

    done: Done
    action: str
    status: str | None
    verdict: Verdict | None
    said: str = ""

    @property
    def coded(self) -> str:
        """The code as it stands in notes."""
        return f" ({self.status})" if self.status else ""


def reported(content: Report | OddReport) -> tuple[RecipientReport, ...]:
    """What is said of each recipient; of nobody where a mail system does not say whom its words are about."""
    if isinstance(content, Report):
        return content.recipients
    words = (*content.words, *[""] * len(content.addresses))
    return tuple(
        RecipientReport("failed", None, (address,), words=said)
        for address, said in zip(content.addresses, words, strict=False)
    )


def about(content: Report | OddReport, mailed: str | None) -> Failure:
    """What a report says about the mail to an address; where it names others alone, a failure before anything else."""
    found = reported(content)
    if not found:
        (words,) = content.words if isinstance(content, OddReport) and content.words else ("",)
        own = _from_line_of(mailed, words) if mailed is not None else ""
        # Who names the address in a report of a failure reports on it, in whatever words.
        verdict = (judge(None, "", own) if own else None) or judge(None, "", words) or ("failing" if own else None)
        return Failure("failed", "failed", None, verdict)
    wanted = same_address(mailed) if mailed is not None else None

    def order(each: RecipientReport) -> tuple[bool, bool]:
        return wanted not in _same(each.addresses), each.action != "failed"

    each = min(found, key=order)
    if each.action != "failed":
        return Failure("delayed" if each.action == "delayed" else "other", each.action, each.status, None)
    verdict = judge(each.status, each.diagnostic, each.words) or "failing"
    return Failure("failed", each.action, each.status, verdict, each.diagnostic)


def _from_line_of(address: str, words: str) -> str:
    """The lines about an address: from the one that names it until one that names another."""
    lines = words.split("\n")
    wanted = address.lower()
    begin = next((number for number, line in enumerate(lines) if wanted in line.lower()), len(lines))
    until = begin + 1
    while until < len(lines) and (wanted in lines[until].lower() or "@" not in lines[until]):
        until += 1
    return "\n".join(lines[begin:until])


def _same(addresses: Iterable[str]) -> set[str]:
    return {same_address(each) for each in addresses}
