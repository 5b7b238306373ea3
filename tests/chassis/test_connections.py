"""How many connections strangers may have, and for how long; who goes when there are too many."""

from __future__ import annotations

import resource
import subprocess
import sys
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.connections import Admission, Connection, Connections, Phase
from services.chassis.sources import source_of


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def admitted(connections: Connections, address: str = "192.0.2.1") -> Connection:
    connection = connections.admit(address)
    assert connection is not None
    return connection


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:c000:201", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("2001:DB8::1", "2001:db8:0:0::9", True),
        ("not an address", "192.0.2.1", False),
    ],
)
def test_an_ipv6_network_is_one_source_and_a_mapped_address_is_what_it_stands_for(
    one: str, other: str, same: bool
) -> None:
    assert (source_of(one) == source_of(other)) is same


def test_the_oldest_unfinished_of_a_full_source_goes_and_the_next_comes_in() -> None:
    connections = Connections(Admission(3))
    answered, oldest, newest = (admitted(connections) for _ in range(3))
    elsewhere = admitted(connections, "192.0.2.2")
    connections.enter(answered, Phase.ANSWERING)
    next_ = admitted(connections)
    assert [each.ended for each in (answered, oldest, newest, elsewhere, next_)] == [False, True, False, False, False]


def test_where_all_of_a_source_are_being_answered_the_next_may_not_come_in_and_others_may() -> None:
    connections = Connections(Admission(2))
    both = [admitted(connections) for _ in range(2)]
    for each in both:
        connections.enter(each, Phase.ANSWERING)
    assert connections.admit("192.0.2.1") is None
    assert connections.admit("192.0.2.2") is not None
    connections.left(both[0])
    assert connections.admit("192.0.2.1") is not None


def test_going_on_with_the_same_request_gains_no_place_and_beginning_another_does() -> None:
    connections = Connections(Admission(2))
    first, second = (admitted(connections) for _ in range(2))
    connections.enter(first, Phase.HEAD)
    admitted(connections)
    assert first.ended
    connections.enter(second, Phase.ANSWERING)
    connections.enter(second, Phase.WAITING)
    admitted(connections)
    assert not second.ended, "it was answered a moment ago"


def test_the_proxy_in_front_stands_for_many() -> None:
    connections = Connections(Admission(2, lambda address: address == "10.0.0.1"), most=10)
    many = [admitted(connections, "10.0.0.1") for _ in range(10)]
    assert not any(each.ended for each in many)
    admitted(connections, "192.0.2.1")
    assert [each.ended for each in many] == [True] + [False] * 9, "the total holds for it too"


def test_nought_is_no_limit_for_a_source() -> None:
    connections = Connections(Admission(0), most=60)
    assert not any(each.ended for each in [admitted(connections) for _ in range(60)])


def test_each_phase_has_its_time_and_no_byte_begins_it_anew(clock: Clock) -> None:
    connections = Connections(Admission(), now=clock)
    for phase in Phase:
        connection = admitted(connections)
        connections.enter(connection, phase)
        if phase.lasts is None:
            continue
        clock.seconds += phase.lasts - 1
        connections.enter(connection, phase)
        connections.end_overdue()
        assert not connection.ended, phase
        clock.seconds += 1
        connections.end_overdue()
        # What nobody leaves unsent has been taken.
        assert connection.ended is (phase is not Phase.TAKING), phase


def test_what_is_being_answered_takes_as_long_as_it_takes(clock: Clock) -> None:
    connections = Connections(Admission(), now=clock)
    connection = admitted(connections)
    connections.enter(connection, Phase.ANSWERING)
    clock.seconds += 3600
    connections.end_overdue()
    assert not connection.ended


STEPS = st.one_of(
    st.tuples(st.just("admit"), st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "10.0.0.1"])),
    st.tuples(st.just("enter"), st.integers(0, 30), st.sampled_from(list(Phase))),
    st.tuples(st.just("left"), st.integers(0, 30)),
    st.tuples(st.just("pass"), st.floats(0, 70)),
)


@given(st.lists(STEPS, max_size=80))
def test_whatever_happens_nobody_has_more_than_they_may_and_nobody_is_lost_or_cut_while_answered(
    steps: list[tuple[object, ...]],
) -> None:
    clock = Clock()
    connections = Connections(Admission(3, lambda address: address == "10.0.0.1"), most=7, now=clock)
    known: list[Connection] = []
    gone: set[int] = set()
    for what, *rest in steps:
        match what, rest:
            case "admit", [str(address)]:
                if (connection := connections.admit(address)) is not None:
                    connection.abort = partial(gone.add, len(known))
                    known.append(connection)
            case "enter", [int(number), Phase() as phase] if known:
                connections.enter(known[number % len(known)], phase)
            case "left", [int(number)] if known:
                connections.left(known[number % len(known)])
            case "pass", [float(seconds)]:
                clock.seconds += seconds
                connections.end_overdue()
        alive = [each for each in known if not each.ended]
        assert len(alive) <= 7
        for source in {each.source for each in alive} - {None}:
            assert sum(each.source == source for each in alive) <= 3
        assert all(known[number].ended and known[number].phase is not Phase.ANSWERING for number in gone)
    for each in known:
        connections.left(each)
    assert all(connections.admit(f"198.51.100.{number}") is not None for number in range(7))


@pytest.mark.parametrize("hard", [64, 256, 1024, 8192])
def test_strangers_get_half_of_the_descriptors_at_most(hard: int) -> None:
    program = (
        "import resource; from services.chassis.connections import most_connections;"
        "print(most_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 50), hard))

    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, preexec_fn=limit
    ).stdout.split()
    assert list(map(int, told)) == [min(1000, hard // 2), hard]
