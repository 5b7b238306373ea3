from __future__ import annotations

import asyncio

import pytest
from nats.errors import TimeoutError as NatsTimeout

from services.chassis.patience import Patience


async def given_up(seconds: float) -> None:
    raise NatsTimeout


async def test_who_gets_no_answer_waits_longer_the_next_time_up_to_a_limit() -> None:
    patience = Patience(1.0, 2.0)
    waited = []
    for _ in range(5):
        waited.append(patience.seconds)
        with pytest.raises(TimeoutError):
            await patience.wait(given_up)
    assert waited == pytest.approx([1.0, 1.3, 1.69, 2.0, 2.0])


async def test_an_answer_that_comes_soon_makes_it_short_again() -> None:
    patience = Patience(1.0, 5.0)
    with pytest.raises(TimeoutError):
        await patience.wait(given_up)

    async def at_once(seconds: float) -> float:
        return seconds

    assert await patience.wait(at_once) == 1.3
    assert patience.seconds == 1.0


async def test_where_answers_take_long_it_stays_long_enough_for_them() -> None:
    patience = Patience(0.01, 5.0)

    async def slowly(seconds: float) -> None:
        async with asyncio.timeout(seconds):
            await asyncio.sleep(0.1)

    while patience.seconds < 0.1:
        with pytest.raises(TimeoutError):
            await patience.wait(slowly)
    for _ in range(3):
        await patience.wait(slowly)
        assert patience.seconds >= 0.3
