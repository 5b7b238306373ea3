from __future__ import annotations

from uuid import UUID

from services.chassis.identity import new_id


def test_ids_are_time_ordered_and_never_the_same() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert {UUID(each).version for each in ids} == {7}
