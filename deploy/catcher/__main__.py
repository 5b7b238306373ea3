"""``python -m deploy.catcher``: take mails by SMTP, show them by HTTP, until SIGTERM."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from pathlib import Path

from deploy.catcher.box import Box
from deploy.catcher.pages import viewer
from deploy.catcher.taking import taker


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.catcher", description=__doc__)
    parser.add_argument("--maildir", type=Path, default=Path("/data/mail"), help="where mails are kept")
    parser.add_argument("--host", default="0.0.0.0", help="where both listen")  # noqa: S104 - a container's own
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--http-port", type=int, default=8025)
    parser.add_argument("--keep", type=int, default=2000, help="the newest mails that are kept")
    given = parser.parse_args(arguments)
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    box = Box(given.maildir, given.keep)
    takes = taker(box, given.host, given.smtp_port)
    shows = viewer(box, given.host, given.http_port)
    takes.start()
    threading.Thread(target=shows.serve_forever, daemon=True).start()
    print(f"takes mails on port {given.smtp_port}, shows them on port {given.http_port}", flush=True)
    stop.wait()
    shows.shutdown()
    shows.server_close()
    takes.stop()
    return 0


if __name__ == "__main__":
    # Mails are personal, also where they are caught.
    os.umask(0o077)
    raise SystemExit(main())
