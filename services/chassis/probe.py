"""
``python -m services.chassis.probe``: ask the service of this container whether it is ready, for images without curl.

It ends with 0 when the service says so, else with 1 and a line that says what it found.
"""

from __future__ import annotations

import http.client
import os
import sys

_PATIENCE = 5.0


def main() -> int:
    """Ask ``/health/ready`` on the port that DEELNAME_HTTP_PORT names. Returns the exit code."""
    port = os.environ.get("DEELNAME_HTTP_PORT", "")
    if not port.isdecimal():
        print("probe: DEELNAME_HTTP_PORT does not name the service's port", file=sys.stderr)
        return 1
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=_PATIENCE)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        print(f"probe: {error or type(error).__name__}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    print(body)
    return 0 if answer.status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    raise SystemExit(main())
