"""``docker compose up`` in a fresh clone: images, the system in containers, and who works with it from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from tests.base_images import PYTHON
from tests.system import composed
from tests.system.composed import SERVICES, TAG, Outside, Stack, compose_program, healthy, run, started
from tests.system.world import enrolment, person, programme, session, until
from tests.workspace.members import ROOT
from tests.workspace.test_requirements import pins

LONG_RUNNING = ("nats", *SERVICES, "mail")

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(1500),
]
in_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def stack(images: dict[str, int]) -> Iterator[Stack]:
    with started() as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outside(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outside]:
    async with composed.outside(stack, tmp_path_factory.mktemp("deployment")) as people:
        yield people


# Images ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_holds_its_services_packages_and_no_others(images: dict[str, int], name: str) -> None:
    code = "import importlib.metadata as m, json; print(json.dumps([d.metadata['Name'] for d in m.distributions()]))"
    command = ("docker", "run", "--rm", "--network", "none", "--read-only", f"deelname-{name}:{TAG}", "python", "-I")
    held = {canonicalize_name(each) for each in json.loads(run(*command, "-c", code))}
    locked = set(pins(ROOT / "requirements" / f"{name}.txt"))
    ours = {each for each in held if each.startswith("deelname")}
    assert ours == {"deelname-contracts", "deelname-chassis", f"deelname-{name}"}
    assert held - ours <= locked
    assert not held & {"pip", "setuptools", "wheel"}


def test_an_image_is_small(images: dict[str, int]) -> None:
    """Beside what it starts from: Python itself is not ours to shrink."""
    (base,) = json.loads(run("docker", "inspect", PYTHON))
    ours = {name: (size - base["Size"]) / 1e6 for name, size in images.items()}
    assert {name: round(size) for name, size in ours.items() if size > 90} == {}


@pytest.mark.parametrize("name", SERVICES)
def test_every_module_of_an_image_is_compiled(images: dict[str, int], name: str) -> None:
    """Nothing can be written there: what is not compiled would be compiled at every start."""
    code = (
        "import importlib.util, pathlib, sys\n"
        "files = [p for p in pathlib.Path(sys.prefix, 'lib').rglob('*.py') if 'services' in p.parts]\n"
        "print(len(files), sum(not pathlib.Path(importlib.util.cache_from_source(str(p))).exists() for p in files))"
    )
    command = ("docker", "run", "--rm", "--network", "none", f"deelname-{name}:{TAG}", "python", "-c", code)
    files, missing = map(int, run(*command).split())
    assert files > 20
    assert missing == 0


# The system -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_a_container_may_do_as_little_as_it_can(stack: Stack, name: str) -> None:
    found = stack.inspect(name)
    host = found["HostConfig"]
    assert found["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert [option.replace("=", ":") for option in host["SecurityOpt"]] == ["no-new-privileges:true"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["NanoCpus"] > 0
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    open_to = [binding["HostIp"] for bindings in host["PortBindings"].values() for binding in bindings]
    assert set(open_to) == {"127.0.0.1"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_nobody_and_writes_nowhere_but_to_its_data(stack: Stack, name: str) -> None:
    tries = "for place in / /opt/deelname /run/secrets/deelname /clock /data /tmp; do "
    tries += "touch $place/probe 2>/dev/null && echo $place; done; id -u; rm -f /data/probe /tmp/probe"
    assert stack.inside(name, "sh", "-c", tries).split() == ["/data", "/tmp", "10001"]


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("registration", {"registration.nk", "registration_intake.nk", "registration.links"}),
        ("notifications", {"notifications.nk", "notifications.links"}),
        ("reporting", {"reporting.nk"}),
    ],
)
def test_a_service_sees_its_own_secrets_alone_and_none_in_its_environment(
    stack: Stack, name: str, seeds: set[str]
) -> None:
    assert set(stack.inside(name, "ls", "/run/secrets/deelname").split()) == seeds | {"ca.pem"}
    assert stack.inside(name, "find", "/run/secrets/deelname", "/data", "-perm", "/077").split() == []
    environment = stack.inspect(name)["Config"]["Env"]
    assert not [entry for entry in environment if "PASSWORD" in entry or "SU" in entry.partition("=")[2][:2]]


@in_one_loop
async def test_up_in_a_fresh_clone_tells_the_samples(stack: Stack) -> None:
    """It enrols as a partner over NATS, and fails if a mail, a place or a count is not what was declared."""
    code = await asyncio.to_thread(run, "docker", "wait", stack.container("demo"), within=300)
    said = await asyncio.to_thread(run, "sh", "-c", 'docker logs "$0" 2>&1', stack.container("demo"))
    assert code.strip() == "0", said[-3000:]


@in_one_loop
@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_is_healthy(stack: Stack, name: str) -> None:
    await healthy(stack, name)
    assert stack.get(name, "/health/ready")[0] == 200


@in_one_loop
async def test_enrolling_over_http_and_over_nats_leads_to_mails_and_counts(stack: Stack, outside: Outside) -> None:
    await outside.staff.publish(programme("composed", sessions=[session("first", 8)]))
    anna, bram = person("Anna", "anna@people.example"), person("Bram", "bram@people.example")
    assert (await outside.web.enrol(enrolment("composed", anna))).certainty == "done"
    assert (await outside.partner.enrol("over-nats", enrolment("composed", bram))).certainty == "done"
    outcome = await outside.partner.answer("over-nats")
    assert "accepted" in outcome["type"]

    async def missing() -> str:
        found = {mail["to"] for mail in json.loads(stack.get("mail", "/mails")[1])["mails"]}
        unseen = [who["email"] for who in (anna, bram) if not any(who["email"] in to for to in found)]
        return f"no mail to {unseen}" if unseen else await uncounted(outside, 2)

    await until(missing)
    assert stack.get("registration", "/programmes/composed")[0] == 200


@in_one_loop
async def test_a_report_is_shown_to_who_has_a_token(stack: Stack, outside: Outside) -> None:
    made = await outside.staff.attempt("do.registration.token.create", {"name": "composed", "role": "viewer"})

    async def hidden() -> str:
        status = stack.get("reporting", "/programmes/composed", made.body["token"])[0]
        return "" if status == 200 else f"answered {status}"

    await until(hidden)
    assert stack.get("reporting", "/programmes/composed")[0] == 401


async def uncounted(outside: Outside, people: int) -> str:
    """What reporting has counted in place of so many people; empty when it has."""
    answer = await outside.staff.attempt("ask.reporting.programme.get", {"programme": "composed"})
    counts = answer.body.get("counts", {})
    return "" if counts.get("people_confirmed") == people else f"counted {counts}"


@in_one_loop
async def test_a_service_that_is_started_again_goes_on_where_it_was(stack: Stack, outside: Outside) -> None:
    before = await outside.staff.enrolments("composed")
    await asyncio.to_thread(stack.compose, "restart", "registration", "reporting")
    await healthy(stack, "registration")
    await healthy(stack, "reporting")
    assert await outside.staff.enrolments("composed") == before
    carla = person("Carla", "carla@people.example")
    assert (await outside.web.enrol(enrolment("composed", carla))).certainty == "done"

    await until(lambda: uncounted(outside, 3))


@in_one_loop
async def test_up_once_more_keeps_keys_and_facts(stack: Stack, outside: Outside) -> None:
    seed = stack.inside("registration", "sha256sum", "/run/secrets/deelname/registration.nk")
    facts = len(await outside.staff.facts("composed"))
    await asyncio.to_thread(stack.compose, "up", "--detach", "--no-build")
    assert stack.inside("registration", "sha256sum", "/run/secrets/deelname/registration.nk") == seed
    assert len(await outside.staff.facts("composed")) == facts


def test_the_operator_has_the_tool_at_hand(stack: Stack) -> None:
    listed = stack.compose("run", "--rm", "--no-deps", "-T", "operator", "deelname", "programme", "list", "--json")
    assert "gezinsaanpak-2023" in listed


def test_production_is_the_same_file_without_what_develops() -> None:
    """No demo, no catcher, no clock of their own; and it says what is missing instead of making it up."""
    program = compose_program()
    production = {"COMPOSE_PROFILES": "", "DEELNAME_NOW": "", "DEELNAME_SENDER": "Deelname <d@example.org>"}
    settings = YAML(typ="safe", pure=True).load(run(*program, "config", environment=production))
    clocks = {
        name: (service.get("environment") or {}).get("DEELNAME_NOW") for name, service in settings["services"].items()
    }
    assert not any(clocks.values())
    running = run(*program, "config", "--services", environment=production).split()
    assert {"nats", *SERVICES} <= set(running)
