"""
An operator's terminal: bash, in which ``deelname`` costs no process.

Each block of the page is one bash, which stops at the first command that fails. ``deelname`` is a function there that
has the tool run in the test's own process, in bash's directory and with its settings: starting Python and importing
the tool sixty times is what made the page slow. ``deelname up`` is a process of its own, forked from one that has
imported everything.

What a block leaves running (``… &``) is remembered by its process id, and ended by ``close``.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from tests import warm
from tests.tool import invoke

_PROLOGUE = r"""
deelname() {
    local settings=() name status heard
    for name in ${!DEELNAME_@}; do settings+=("$name=${!name}"); done
    local process=$BASHPID
    if [ "$1" = up ]; then settings+=(OUTPUT="$(readlink "/proc/$process/fd/1")"); fi
    exec 9<>"/dev/tcp/127.0.0.1/$TERMINAL_PORT"
    printf '%s\0' "$#" "${#settings[@]}" "$PWD" "$@" "${settings[@]}" >&9
    read -r status heard <&9
    exec 9>&-
    cat "$heard.out"
    cat "$heard.err" >&2
    return "$status"
}
nats-server() {
    if [ "$BASHPID" != $$ ]; then exec nats-server "$@"; fi
    command nats-server "$@"
    # Whoever runs servers waits until one has ended; an orphan here may stay a zombie.
    [ "$1" = --signal ] || return 0
    local process=$(<"${2#*=}")
    while grep -qs '^State:[[:space:]]*[^Z[:space:]]' "/proc/$process/status"; do sleep 0.05; done
}
trap 'jobs -p >>"$TERMINAL/jobs"' EXIT
set -euo pipefail
"""
_ENDED_WITHIN = 30.0


class Terminal:
    """A directory in which commands are typed; ``settings`` are in the environment of each."""

    def __init__(self, place: Path, **settings: str) -> None:
        self.place = place
        self.settings = settings
        self._own = place / ".terminal"
        self._own.mkdir()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._numbers = itertools.count(1)
        self._one_at_a_time = threading.Lock()
        self._systems: list[subprocess.Popen[bytes]] = []
        self._answering = threading.Thread(target=self._answer, daemon=True)
        self._answering.start()

    def run(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run commands as somebody types them, without settings of ours in the environment."""
        return subprocess.run(
            ["bash", "-c", _PROLOGUE + script],
            cwd=self.place,
            env=self._environment() | more,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("DEELNAME_", "OTEL_"))}
        own = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "TERMINAL": str(self._own),
            "TERMINAL_PORT": str(self._listening.getsockname()[1]),
        }
        return inherited | own | self.settings

    def close(self) -> None:
        """End what still runs, in order where it can be, and wait until it has ended."""
        # Closing it alone would leave the thread in accept().
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._answering.join(_ENDED_WITHIN)
        for system in self._systems:
            system.terminate()
        for system in self._systems:
            system.wait(_ENDED_WITHIN)
        waiting = []
        for process in self._jobs():
            with contextlib.suppress(ProcessLookupError):
                waiting.append(os.pidfd_open(process))
        for handle in waiting:
            _signal(handle, signal.SIGTERM)
        for handle in waiting:
            if not select.select([handle], [], [], _ENDED_WITHIN)[0]:
                _signal(handle, signal.SIGKILL)
            os.close(handle)

    def _jobs(self) -> list[int]:
        """What was left running in the background, and is still what it was: something in our directory."""
        jobs = self._own / "jobs"
        known = {int(line) for line in jobs.read_text().split()} if jobs.exists() else set()
        return [process for process in known if self._is_ours(process)]

    def _is_ours(self, process: int) -> bool:
        try:
            return Path(f"/proc/{process}/cwd").resolve() == self.place.resolve()
        except OSError:
            return False

    def _answer(self) -> None:
        while True:
            try:
                caller, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller, caller.makefile("rb") as heard:
            number, settings = int(_word(heard)), int(_word(heard))
            directory = _word(heard)
            words = [_word(heard) for _ in range(number)]
            chosen = dict(_word(heard).split("=", 1) for _ in range(settings))
            code, said = self._deelname(directory, words, chosen)
            caller.sendall(f"{code} {said}\n".encode())

    def _deelname(self, directory: str, words: list[str], settings: dict[str, str]) -> tuple[int, Path]:
        """How the tool ended, and the files with what it said, but for what they end with."""
        code, out, err = 0, "", ""
        try:
            if words[0] == "up":
                self._up(directory, words, settings)
            else:
                # The directory is the whole process's.
                with self._one_at_a_time, contextlib.chdir(directory):
                    outcome = invoke(*words, env=dict(settings))
                code, out, err = outcome.code, outcome.out, outcome.err
        except Exception as error:
            # As a process would: everything that is wrong shows on the terminal, and the block ends.
            code, out, err = 1, "", f"{type(error).__name__}: {error}\n"
        said = self._own / str(next(self._numbers))
        said.with_suffix(".out").write_text(out)
        said.with_suffix(".err").write_text(err)
        return code, said

    def _up(self, directory: str, words: list[str], settings: dict[str, str]) -> None:
        """Start it in the background, where the page always has it."""
        with Path(settings.pop("OUTPUT")).open("ab") as output:
            command = [sys.executable, "-m", "tests.warm_up", *words]
            environment = self._environment() | settings
            started = warm.popen(command, env=environment, cwd=directory, stdout=output, stderr=subprocess.STDOUT)
        self._systems.append(started)


def _word(heard: IO[bytes]) -> str:
    word = bytearray()
    while (byte := heard.read(1)) not in (b"\0", b""):
        word += byte
    return word.decode()


def _signal(handle: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, sign)
