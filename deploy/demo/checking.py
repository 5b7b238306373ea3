"""Whether what came of a sample is what must come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.queries import EnrolmentList, ProgrammeReport
from deploy.demo.samples import Sample


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a sample: the answers that the partner got, and what three services say about the programme."""

    sample: Sample
    answers: tuple[str, ...]
    enrolments: EnrolmentList
    facts: Sequence[Mapping[str, Any]]
    report: ProgrammeReport

    @property
    def standing(self) -> Counter[str]:
        """Enrolments by status."""
        return Counter(view.status for view in self.enrolments.enrolments)

    @property
    def refusals(self) -> dict[str, int]:
        """Refusals by rule."""
        return {row.rule: row.refusals for row in self.report.refusals}

    @property
    def mails(self) -> dict[str, int]:
        """Mails sent, by purpose."""
        return {row.purpose: row.sent for row in self.report.mails if row.sent}

    def reasons(self, fact: str) -> Counter[str]:
        """The rules that facts of a type give as their reason."""
        return Counter(each["data"]["reason"]["rule"] for each in self.facts if each["type"] == fact)


def answer_in_words(outcome: Mapping[str, Any] | None) -> str:
    """An outcome as ``expected.yaml`` has it: ``confirmed``, or ``refused: closed, kind-not-eligible``."""
    if outcome is None:
        return "no answer"
    data = outcome["data"]
    if "status" in data:
        return str(data["status"])
    problem = data["problem"].rpartition(":")[2]
    # What cannot be read breaks rules of the message's form, which are nobody's but the problem's.
    rules = [error["rule"] for error in data.get("errors", ()) if error.get("rule")] if problem == "refused" else []
    return f"refused: {', '.join(rules) or problem}"


def missed(result: Result) -> Iterator[str]:
    """Everything that was expected and did not happen, or happened and was not expected, one sentence each."""
    expected = result.sample.expected
    report = result.report
    for number, (wanted, got) in enumerate(zip(expected.answers, result.answers, strict=False), 1):
        if wanted != got:
            yield f"message {number} of {result.sample.requests.name}: answered '{got}', not '{wanted}'"
    if len(expected.answers) != len(result.answers):
        yield f"{len(result.answers)} messages were answered, not {len(expected.answers)}"
    for status, count in expected.enrolments.model_dump().items():
        if result.standing[status] != count:
            yield f"registration has {result.standing[status]} {status} enrolments, not {count}"
    for status, count in expected.people.model_dump().items():
        if (counted := getattr(report.counts, f"people_{status}")) != count:
            yield f"reporting counts {counted} people {status}, not {count}"
    yield from _compare("refusals by", result.refusals, expected.refusals)
    yield from _compare("promotions by", result.reasons("enrolment.promoted.v1"), expected.promoted)
    yield from _compare("passed over by", result.reasons("enrolment.passed-over.v1"), expected.passed_over)
    facts = Counter(str(each["type"]) for each in result.facts)
    yield from _compare("facts of type", {type_: facts[type_] for type_ in expected.facts}, expected.facts)
    yield from _compare("mails for", result.mails, expected.mails)
    if report.mails_failed:
        yield f"{report.mails_failed} mails failed"
    if report.mails_uncertain:
        yield f"of {report.mails_uncertain} mails nobody knows whether they arrived"


def _compare(what: str, got: Mapping[str, int], wanted: Mapping[str, int]) -> Iterator[str]:
    for key in sorted({*got, *wanted}):
        if got.get(key, 0) != wanted.get(key, 0):
            yield f"{what} '{key}': {got.get(key, 0)}, not {wanted.get(key, 0)}"
