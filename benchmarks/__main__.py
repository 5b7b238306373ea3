"""``make bench``: the four paths, one after the other; ``ARGS`` picks some of them (``make bench ARGS=rebuild``)."""

from __future__ import annotations

import subprocess
import sys

PATHS = {
    "enrolments": "Enrolments to a committed reply",
    "rebuild": "Rebuild of the reports from 200,000 facts",
    "mails": "Mails planned, rendered and sent",
    "latency": "From an enrolment to its mail and to the report",
}


def main() -> None:
    """Run each path in a process of its own, so that none inherits another's heap."""
    wanted = sys.argv[1:] or list(PATHS)
    unknown = [name for name in wanted if name not in PATHS]
    if unknown:
        raise SystemExit(f"no such path: {', '.join(unknown)}; there are {', '.join(PATHS)}")
    for name in wanted:
        print(f"\n## {PATHS[name]}\n", flush=True)
        ended = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
        if ended.returncode:
            raise SystemExit(f"benchmarks.{name} failed")


if __name__ == "__main__":
    main()
