"""Each base image is one setting, and takes a digest wherever it is used."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ruamel.yaml import YAML

from tests import containers
from tests.base_images import NATS
from tests.registry import registry
from tests.system.composed import Stack, compose_program, run
from tests.workspace.members import ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
A_REFERENCE = re.compile(r"\b(?:nats|python):[0-9]{1,2}(?![0-9])[a-z0-9.-]*|@sha256:[0-9a-f]{64}")


def test_a_reference_stands_in_one_place_alone() -> None:
    """In what builds, starts or tests; pages and decisions may speak of it."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    places = [
        (name, found)
        for name in listed
        if (ROOT / name).is_file() and not name.endswith((".md", ".txt")) and name != "tests/test_base_images.py"
        for line in (ROOT / name).read_text(encoding="utf-8", errors="replace").splitlines()
        if not line.lstrip().startswith("#")
        for found in A_REFERENCE.findall(line)
    ]
    assert sorted(places) == [("compose.yaml", "nats:2-alpine"), ("deploy/Dockerfile", "python:3.13-slim")]


def test_every_image_of_ours_starts_from_that_one() -> None:
    stages = {"base"}
    first, *others = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", DOCKERFILE, re.MULTILINE)
    assert first == ("${PYTHON_IMAGE:-python:3.13-slim}", "base")
    for source, name in others:
        assert source in stages or source in {"members-of-${SERVICE}", "${SERVICE}"}
        stages.add(name)


def test_each_image_that_compose_builds_is_given_it() -> None:
    services = YAML(typ="safe", pure=True).load(ROOT / "compose.yaml")["services"]
    built = {name: service["build"]["args"] for name, service in services.items() if "build" in service}
    assert len(built) == 5
    assert {arguments["PYTHON_IMAGE"] for arguments in built.values()} == {"${DEELNAME_PYTHON_IMAGE:-}"}


def test_make_hands_it_on_with_what_stands_in_it() -> None:
    given = f"registry.example/python@sha256:{'0' * 64}"
    said = run("make", "--dry-run", "images", environment={"DEELNAME_PYTHON_IMAGE": given})
    assert said.count(f"--build-arg PYTHON_IMAGE={given} ") == said.count("docker build") > 0


class Pinned(NamedTuple):
    """A reference with a digest, and the image that it means."""

    reference: str
    image: str


def layers(image: str) -> str:
    """What an image is made of."""
    return run("docker", "inspect", "--format", "{{.RootFS.Layers}}", image)


@pytest.fixture(scope="module")
def pinned() -> Iterator[Pinned]:
    """The broker's image, pushed to a registry, removed here under its new names, and known by its digest alone."""
    with registry() as address:
        name = f"{address}/base"
        run("docker", "tag", NATS, f"{name}:pushed")
        run("docker", "push", f"{name}:pushed")
        image, digests = run("docker", "inspect", "--format", "{{.Id}} {{.RepoDigests}}", f"{name}:pushed").split(
            " ", 1
        )
        (reference,) = re.findall(rf"{re.escape(name)}@sha256:[0-9a-f]{{64}}", digests)
        run("docker", "rmi", f"{name}:pushed")
        yield Pinned(reference, image)
        subprocess.run(["docker", "rmi", reference], capture_output=True, check=False)


@pytest.mark.engine
class TestByDigest:
    def test_our_images_start_from_it(self, pinned: Pinned) -> None:
        """What it is does not matter to the stage that all others start from."""
        command = ("docker", "build", "--quiet", "--file", "deploy/Dockerfile", "--target", "base")
        built = run(*command, "--build-arg", f"PYTHON_IMAGE={pinned.reference}", ".").strip()
        assert layers(built) == layers(pinned.image)

    def test_compose_starts_the_broker_from_it(self, pinned: Pinned, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DEELNAME_NATS_IMAGE", pinned.reference)
        stack = Stack(compose_program(), f"deelname-test-{os.getpid()}", 4222)
        try:
            # Without what it depends on: nothing is started.
            stack.compose("up", "--no-start", "--no-deps", "--no-build", "nats")
            assert stack.inspect("nats")["Image"] == pinned.image
        finally:
            stack.compose("down", "--volumes")

    def test_tests_start_their_brokers_from_it(self, pinned: Pinned, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(containers, "NATS", pinned.reference)
        assert containers.engine().startswith("Docker ")

    def test_the_base_images_of_a_check_are_at_hand_by_it(self, pinned: Pinned, tmp_path: Path) -> None:
        both = {"DEELNAME_NATS_IMAGE": pinned.reference, "DEELNAME_PYTHON_IMAGE": pinned.reference}
        assert run(".ci/images", environment=both) == ""
