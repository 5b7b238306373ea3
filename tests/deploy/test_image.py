"""An image follows from the files of a commit and the pinned packages, and from nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from tests.workspace.members import ROOT

SERVICE = "reporting"
PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")


class File(NamedTuple):
    """What an image says of one path; the time is left out: the engine stamps folders that it makes."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    link: str
    content: str


def docker(*words: str) -> str:
    """What the engine answers."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


@contextmanager
def image(context: Path, *options: str) -> Iterator[str]:
    """The image of a folder, for a while; packages come from where they come from outside."""
    tag = f"deelname-image-test:{uuid4().hex[:12]}"
    settings = [word for name in PIP if name in os.environ for word in ("--build-arg", name)]
    file = ("--file", str(context / "deploy" / "Dockerfile"), "--build-arg", f"SERVICE={SERVICE}")
    docker("build", "--quiet", "--network", "host", *options, *settings, *file, "--tag", tag, str(context))
    try:
        yield tag
    finally:
        docker("rmi", "--force", tag)


def files(tag: str) -> dict[str, File]:
    """Everything in an image, by path."""
    container = docker("create", tag)
    try:
        with (
            subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export,
            tarfile.open(fileobj=export.stdout, mode="r|") as archive,
        ):
            return {member.name: _file(archive, member) for member in archive}
    finally:
        docker("rm", container)


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo) -> File:
    content = archive.extractfile(member) if member.isfile() else None
    digest = sha256(content.read()).hexdigest() if content else ""
    return File(member.type, member.mode, (member.uid, member.gid), member.linkname, digest)


def copy_otherwise(directory: Path) -> Path:
    """The files of this tree at another place, of another time and readable by others or not."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            copy = directory / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy)
            copy.chmod(0o700 if os.access(ROOT / name, os.X_OK) else 0o600)
            os.utime(copy, (1_000_000_000, 1_000_000_000))
    return directory


@pytest.mark.engine
@pytest.mark.timeout(900)
def test_an_image_built_again_from_clean_elsewhere_holds_the_same_files(tmp_path: Path) -> None:
    """The first may come out of the engine's cache: CI has built it already."""
    with image(ROOT) as one, image(copy_otherwise(tmp_path / "copy"), "--no-cache") as other:
        before, again = files(one), files(other)
    assert before.keys() == again.keys()
    assert [name for name, file in before.items() if again[name] != file] == []
    assert len([name for name in before if name.startswith("opt/deelname/lib/")]) > 1000
