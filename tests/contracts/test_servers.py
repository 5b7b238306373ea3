"""Who of the broker's servers is there, by what each says of the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.servers import Answer, Behind, compare, read_answer

Json = dict[str, Any]


def said(name: str, peers: tuple[str, ...] = (), size: int = 3, streams: tuple[Json, ...] = ()) -> Answer:
    meta = {"name": "deelname", "leader": "a", "cluster_size": size, "replicas": [{"name": peer} for peer in peers]}
    data: Json = {"meta_cluster": meta if size else None, "account_details": [{"stream_detail": list(streams)}]}
    answer = read_answer(json.dumps({"server": {"name": name}, "data": data}).encode())
    assert answer is not None
    return answer


def stream(leader: str, *replicas: Json) -> Json:
    return {"name": "LOG", "cluster": {"leader": leader, "replicas": list(replicas)}}


A, B, C = said("a", ("b", "c")), said("b", ("a", "c")), said("c", ("a", "b"))


@pytest.mark.parametrize(
    ("answers", "missing", "told"),
    [
        ((A, B, C), (), ""),
        ((A, C), ("b",), "1 of the 3 servers of the broker does not answer: b"),
        ((C,), ("a", "b"), "2 of the 3 servers of the broker do not answer: a, b"),
        ((said("a"),), (), "2 of the 3 servers of the broker do not answer: their names are not known"),
        ((), (), ""),
        ((said("alone", size=0),), (), ""),
        # It answers, and keeps no streams, as one whose disk is broken does.
        ((A, B, said("c", size=0)), ("c",), "1 of the 3 servers of the broker does not answer: c"),
        # A peer that was replaced is known for a while.
        ((said("a", ("b", "c", "old")), B, C), (), ""),
    ],
)
def test_who_does_not_answer_is_known_by_the_others(
    answers: tuple[Answer, ...], missing: tuple[str, ...], told: str
) -> None:
    servers = compare(answers)
    assert (servers.missing, servers.who_is_missing) == (missing, told)
    assert servers.complete is (bool(answers) and not told)


def test_a_copy_is_behind_when_the_streams_leader_says_so_and_nobody_else() -> None:
    """Who follows knows nothing of another that follows, and calls it not current."""
    led = stream("a", {"name": "b", "current": False, "lag": 7}, {"name": "c", "current": True})
    followed = stream("a", {"name": "a", "current": True}, {"name": "b", "current": False})
    servers = compare([said("a", streams=(led,)), said("b", streams=(followed,)), said("c", streams=(followed,))])
    assert servers.behind == (Behind("LOG", "b", 7),)
    assert servers.leaderless == ()


@pytest.mark.parametrize("leader", ["", "b"])
def test_a_stream_that_nobody_who_answers_leads_has_no_leader(leader: str) -> None:
    servers = compare([said("a", streams=(stream(leader, {"name": "b", "current": True}),))])
    assert servers.leaderless == ("LOG",)
    assert servers.behind == ()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"server":{"name":"a"},"data":[]}', b"\xff" * 99, None, 7])
def test_what_is_no_servers_answer_is_none(body: object) -> None:
    assert read_answer(body) is None
