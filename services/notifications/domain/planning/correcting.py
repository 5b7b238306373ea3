"""Whoever has another address is told there what still holds, and what was sent to the old one is taken back."""

from __future__ import annotations

from contracts import facts
from services.notifications.domain.planning.work import Work


def corrected(work: Work, data: facts.PersonCorrected) -> None:
    """Go through the programmes that name the person, each as if the fact were its own."""
    if "email" not in data.changed:
        return
    for programme in sorted(work.state.partitions()):
        here = Work(work.state, work.fact, programme)
        _tell_again(here, data.person)
        work.state = here.state
        work.mails += here.mails


def _tell_again(work: Work, person: str) -> None:
    if work.silent:
        return
    for enrolment in work.enrolments():
        if enrolment.waits_for(person) is not None:
            work.mail("confirmation-request", person, enrolment=enrolment.id, by_stranger=True)
        elif enrolment.participant(person) is None:
            continue
        elif enrolment.status == "confirmed":
            work.mail("confirmation", person, enrolment=enrolment.id)
        elif enrolment.status == "waiting":
            work.mail("waiting", person, enrolment=enrolment.id)
    work.readdress(person)
