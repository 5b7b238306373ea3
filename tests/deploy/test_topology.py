"""Declaring the streams: as often as one likes, on whatever is there."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from contracts.intake import LARGEST
from deploy import topology
from deploy.broker import RunningBroker
from deploy.streams import OUTCOME_BYTES, Stream, outcomes_per_subject, streams_of
from deploy.topology import TopologyConflict, declare_partners, declare_streams
from tests.deploy.conftest import PARTNERS, visit

EVERYTHING = {
    "LOG_REGISTRATION",
    "LOG_NOTIFICATIONS",
    "KV_contacts",
    "INTAKE_DEMO",
    "INTAKE_DEMO/registration",
    "INTAKE_SCHOOL_X",
    "INTAKE_SCHOOL_X/registration",
    "OUTCOMES",
    "OUTCOMES/demo",
    "OUTCOMES/school-x",
}


async def test_declaring_again_changes_nothing(own_broker: RunningBroker) -> None:
    changes = await own_broker.declare()
    assert set(changes.unchanged) == EVERYTHING
    assert (changes.created, changes.updated, changes.undeclared) == ((), (), ())


async def test_declaring_brings_everything_back_after_the_store_was_lost(own_broker: RunningBroker) -> None:
    own_broker.kill()
    shutil.rmtree(own_broker.store)
    own_broker.start()
    assert set((await own_broker.declare()).created) == EVERYTHING


async def test_the_streams_are_as_the_design_says(own_broker: RunningBroker) -> None:
    async with visit(own_broker, "topology") as owner:
        log = (await owner.connection.jsm().stream_info("LOG_REGISTRATION")).config
        contacts = (await owner.connection.jsm().stream_info("KV_contacts")).config
    async with visit(own_broker, "topology_partners") as owner:
        intake = (await owner.connection.jsm().stream_info("INTAKE_SCHOOL_X")).config
        outcomes = (await owner.connection.jsm().stream_info("OUTCOMES")).config
        reader = (await owner.connection.jsm().consumer_info("INTAKE_SCHOOL_X", "registration")).config
        partner = (await owner.connection.jsm().consumer_info("OUTCOMES", "school-x")).config

    assert (log.subjects, log.max_age, log.discard) == (["log.registration.>"], 0, "new")
    assert (log.allow_atomic, log.deny_delete, log.deny_purge) == (True, True, True)
    assert (contacts.max_msgs_per_subject, contacts.allow_atomic, contacts.allow_rollup_hdrs) == (64, True, True)
    assert contacts.deny_delete in (None, False)
    assert (intake.retention, intake.discard) == (RetentionPolicy.WORK_QUEUE, "new")
    assert (intake.max_msg_size or 0) > 2 * LARGEST
    assert (outcomes.max_age, outcomes.allow_atomic) == (30 * 24 * 3600, True)
    assert all((config.max_bytes or 0) > 0 for config in (log, contacts, intake, outcomes))
    assert (reader.ack_policy, reader.max_deliver, reader.ack_wait, reader.max_ack_pending) == ("explicit", -1, 30, 64)
    assert partner.filter_subject == "outcome.school-x.>"


async def test_a_bucket_of_an_earlier_release_is_made_anew_and_what_it_had_left_is_gone(
    own_broker: RunningBroker,
) -> None:
    """The broker never lets go of a stream's ban on deletions, and without them nobody can be erased."""
    (wanted,) = [each.config for each in streams_of("APP", PARTNERS) if each.name == "KV_contacts"]
    async with visit(own_broker, "topology") as owner, visit(own_broker, "registration") as registration:
        await owner.connection.jsm().delete_stream("KV_contacts")
        await owner.connection.jsm().add_stream(replace(wanted, max_msgs_per_subject=1, deny_delete=True))
        bucket = registration.connection.jetstream()
        for content in (b"Zonnebloemstra", b""):
            await bucket.publish("$KV.contacts.someone", content)
        held = [path for path in own_broker.store.rglob("*") if path.is_file()]
        assert any(b"Zonnebloemstra" in path.read_bytes() for path in held)

        changes = await own_broker.declare()

        assert changes.updated == ("KV_contacts",)
        assert (await own_broker.declare()).updated == ()
    left = [path for path in own_broker.store.rglob("*") if path.is_file()]
    assert not [path for path in left if b"Zonnebloemstra" in path.read_bytes()]


async def test_a_limit_that_somebody_changed_is_set_back(own_broker: RunningBroker) -> None:
    async with visit(own_broker, "topology_partners") as owner:
        (intake, *_) = streams_of("PARTNERS", PARTNERS)
        await owner.connection.jsm().update_stream(replace(intake.config, max_bytes=1024 * 1024))
        await owner.connection.jsm().add_consumer("INTAKE_DEMO", replace(intake.consumers[0], ack_wait=5.0))

        changes = await own_broker.declare()

        assert changes.updated == ("INTAKE_DEMO", "INTAKE_DEMO/registration")
        config = (await owner.connection.jsm().stream_info("INTAKE_DEMO")).config
        assert config.max_bytes == intake.config.max_bytes


@pytest.mark.parametrize("number", [0, 1, 2, 7, 32, 500])
def test_the_answers_to_all_partners_have_room_together(number: int) -> None:
    streams = streams_of("PARTNERS", [f"p{each}" for each in range(number)])
    config = next(stream.config for stream in streams if stream.name == "OUTCOMES")
    assert config.max_msgs_per_subject
    assert config.max_bytes
    assert 1 <= config.max_msgs_per_subject <= 100_000
    assert 2 * number * config.max_msgs_per_subject * OUTCOME_BYTES < config.max_bytes


async def test_each_partners_share_of_the_answers_follows_their_number_and_who_left_counts(
    own_broker: RunningBroker,
) -> None:
    async with visit(own_broker, "topology_partners") as owner, visit(own_broker, "registration_intake") as answering:
        await answering.connection.jetstream().publish("outcome.school-x.accepted", b"{}")
        jsm = owner.connection.jsm()

        async def share() -> int | None:
            return (await jsm.stream_info("OUTCOMES")).config.max_msgs_per_subject

        # As a release declared it that gave everybody the same.
        usual = (await jsm.stream_info("OUTCOMES")).config
        await jsm.update_stream(replace(usual, max_msgs_per_subject=100_000))
        assert (await declare_partners(owner.connection, ["demo"])).updated == ("OUTCOMES",)
        assert await share() == usual.max_msgs_per_subject == outcomes_per_subject(2)

        await declare_partners(owner.connection, ["demo", "second", "third"])
        assert await share() == outcomes_per_subject(4)
        # It has grown too old: another answer takes its place.
        await jsm.update_stream(replace(usual, max_msgs=1))
        await answering.connection.jetstream().publish("outcome.demo.accepted", b"{}")
        await declare_partners(owner.connection, ["demo", "second", "third"])
        assert await share() == outcomes_per_subject(3)


async def test_messages_survive_a_change(own_broker: RunningBroker) -> None:
    async with visit(own_broker, "demo") as partner:
        await partner.connection.jetstream().publish("intake.demo.enrolment.request", b"kept")
    async with visit(own_broker, "topology_partners") as owner:
        (intake, *_) = streams_of("PARTNERS", PARTNERS)
        wider = Stream(replace(intake.config, max_msgs=300_000), intake.consumers)
        assert "INTAKE_DEMO" in (await declare_streams(owner.connection, [wider])).updated
        assert (await owner.connection.jsm().stream_info("INTAKE_DEMO")).state.messages == 1


async def test_what_cannot_be_changed_in_place_is_refused_with_a_reason_and_kept(own_broker: RunningBroker) -> None:
    async with visit(own_broker, "demo") as partner:
        await partner.connection.jetstream().publish("intake.demo.enrolment.request", b"kept")
    async with visit(own_broker, "topology_partners") as owner:
        (intake, *_) = streams_of("PARTNERS", PARTNERS)
        other = Stream(replace(intake.config, storage=StorageType.MEMORY), intake.consumers)
        with pytest.raises(TopologyConflict, match=r"INTAKE_DEMO.*storage.*Nothing was deleted"):
            await declare_streams(owner.connection, [other])
        assert (await owner.connection.jsm().stream_info("INTAKE_DEMO")).state.messages == 1


async def test_a_strangers_stream_on_our_subjects_is_refused(own_broker: RunningBroker) -> None:
    async with visit(own_broker, "topology") as owner:
        mine = Stream(StreamConfig(name="STRANGER", subjects=["log.registration.x.>"], max_bytes=1024))
        with pytest.raises(TopologyConflict, match=r"STRANGER.*overlap"):
            await declare_streams(owner.connection, [mine])


async def test_a_stream_that_nobody_declares_is_named_and_left_alone(own_broker: RunningBroker) -> None:
    async with visit(own_broker, "topology") as owner:
        stranger = StreamConfig(name="STRANGER", subjects=["elsewhere.>"], max_bytes=1024, storage=StorageType.MEMORY)
        await owner.connection.jsm().add_stream(stranger)
        assert (await own_broker.declare()).undeclared == ("STRANGER",)
        assert await owner.connection.jsm().stream_info("STRANGER")


@pytest.fixture
def named(own_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker's addresses in the environment, where passwords may stand."""
    monkeypatch.setenv("DEELNAME_NATS_URL", own_broker.url("topology"))
    monkeypatch.setenv("DEELNAME_PARTNERS_NATS_URL", own_broker.url("topology_partners"))


@pytest.mark.usefixtures("named")
def test_ops_declare_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert topology.main(["--partners", "demo"]) == 0
    said = capsys.readouterr().out
    assert "unchanged: LOG_REGISTRATION" in said
    assert "undeclared: INTAKE_SCHOOL_X, OUTCOMES/school-x" in said


@pytest.mark.usefixtures("named")
def test_ops_are_told_why_it_did_not_work(own_broker: RunningBroker, capsys: pytest.CaptureFixture[str]) -> None:
    own_broker.stop()
    assert topology.main([]) == 1
    assert "topology: " in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--application-url", "--partners-url"])
def test_a_password_is_not_taken_from_the_command_line(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        topology.main([option, "nats://topology:geheim@127.0.0.1:4222"])
    said = capsys.readouterr().err
    assert "others can see a password on a command line" in said
    assert "geheim" not in said
