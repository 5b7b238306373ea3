"""What reporting counts of whatever registration may decide, against how registration itself says that things stand."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings

from services.chassis.state import State
from services.reporting.domain import evolve, programme_report
from tests.plausible import fact
from tests.registration.domain.test_machine import Life


class CountedLife(Life):
    """A programme's life, which is counted at its end."""

    def teardown(self) -> None:
        state = State()
        for data in self.facts:
            state = evolve(state, fact(data, "ontmoeting", self.now))
        if (report := programme_report(state, "ontmoeting")) is None:
            return
        units: Counter[str] = Counter()
        awaited = 0
        for one in self.state.enrolments.values():
            units[one.status] += one.units
            awaited += len(one.awaited)
        counts = report.counts
        assert counts.people_pending == awaited
        for status in ("confirmed", "waiting", "refused", "pending", "lapsed"):
            assert getattr(counts, f"units_{status}") == units[status], status
        assert sum(day.requested for day in report.days) == len(self.state.enrolments)
        assert sum(day.pending for day in report.days) == sum(
            one.status == "pending" for one in self.state.enrolments.values()
        )


TestCountedLife = CountedLife.TestCase
TestCountedLife.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
