"""The services as they were at their last release, started beside today's."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

from deploy.local import ServiceCommand
from tests.workspace.members import ROOT

COMMIT = Path(__file__).with_suffix(".txt").read_text(encoding="ascii").strip()

# The code of this working tree is installed in place and found by finders of its own: without them nothing but the old
# folders is there to import, and a module that the old release had not is missing, as it was.
_START = """
import runpy, sys
folder, service = sys.argv[1:]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in str(getattr(finder, "__module__", finder))]
sys.path_hooks = [hook for hook in sys.path_hooks if "editable" not in str(hook)]
sys.path = [folder] + [entry for entry in sys.path if "editable" not in entry.lower()]
sys.path_importer_cache.clear()
import contracts, services.chassis
assert contracts.__file__.startswith(folder), contracts.__file__
assert services.chassis.__file__.startswith(folder), services.chassis.__file__
runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=True)
"""


def unpack(folder: Path) -> Path:
    """
    Put the last release's tree into ``folder``.

    A clone without history has not got it: the reason is then in what this raises.
    """
    archive = subprocess.run(
        ["git", "archive", COMMIT, "contracts", "services"], cwd=ROOT, capture_output=True, check=False
    )
    assert archive.returncode == 0, f"commit {COMMIT} of tests/system/last_release.txt: {archive.stderr.decode()}"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tree:
        tree.extractall(folder, filter="data")
    return folder


def service_of_last_release(name: str, folder: Path) -> ServiceCommand:
    """How to start a service from the tree that ``unpack`` left in ``folder``."""
    return ServiceCommand(name, (sys.executable, "-P", "-c", _START, str(folder), name))
