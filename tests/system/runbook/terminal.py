"""
An operator's terminal: bash, in which ``deelname`` costs no process.

Each block of the page is one bash, which stops at the first command that fails. ``deelname`` is a function there that
has the tool run in the test's own process, in bash's directory and with its settings: starting Python and importing
the tool sixty times is what made the page slow. ``deelname up`` alone is the real program, for it stays.

What a block leaves running (``… &``) is remembered by its process id, and ended by ``close``.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tests.tool import invoke

_PROLOGUE = r"""
deelname() {
    if [ "$1" = up ]; then exec deelname "$@"; fi
    local settings=() name status heard
    for name in ${!DEELNAME_@}; do settings+=("$name=${!name}"); done
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
        self._commands = 0
        self._answering = threading.Thread(target=self._answer, daemon=True)
        self._answering.start()

    def run(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run commands as somebody types them, without settings of ours in the environment."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("DEELNAME_", "OTEL_"))}
        own = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "TERMINAL": str(self._own),
            "TERMINAL_PORT": str(self._listening.getsockname()[1]),
        }
        return subprocess.run(
            ["bash", "-c", _PROLOGUE + script],
            cwd=self.place,
            env=inherited | own | self.settings | more,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def close(self) -> None:
        """End what still runs, in order where it can be, and wait until it has ended."""
        # Closing it alone would leave the thread in accept().
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._answering.join(_ENDED_WITHIN)
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
            with caller, caller.makefile("rb") as heard:
                number, settings = int(_word(heard)), int(_word(heard))
                directory = _word(heard)
                words = [_word(heard) for _ in range(number)]
                chosen = dict(_word(heard).split("=", 1) for _ in range(settings))
                code, said = self._deelname(directory, words, chosen)
                caller.sendall(f"{code} {said}\n".encode())

    def _deelname(self, directory: str, words: list[str], settings: Mapping[str, str]) -> tuple[int, Path]:
        """How the tool ended, and the files with what it said, but for what they end with."""
        try:
            with contextlib.chdir(directory):
                outcome = invoke(*words, env=dict(settings))
        except Exception as error:
            # As a process would: everything that is wrong shows on the terminal, and the block ends.
            code, out, err = 1, "", f"{type(error).__name__}: {error}\n"
        else:
            code, out, err = outcome.code, outcome.out, outcome.err
        self._commands += 1
        said = self._own / str(self._commands)
        said.with_suffix(".out").write_text(out)
        said.with_suffix(".err").write_text(err)
        return code, said


def _word(heard: IO[bytes]) -> str:
    word = bytearray()
    while (byte := heard.read(1)) not in (b"\0", b""):
        word += byte
    return word.decode()


def _signal(handle: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, sign)
