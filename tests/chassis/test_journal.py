from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging
import structlog
from services.chassis.journal import configure

configure("info", "test")
structlog.get_logger("chassis.some").info("something happened", number=3)
structlog.get_logger("chassis.some").debug("too quiet to be heard")
logging.getLogger("library").warning("a library says %s", "so")
name = "Noor de Wit"
try:
    raise ValueError("no such thing")
except ValueError:
    structlog.get_logger("chassis.some").exception("it failed")
"""


def test_every_line_is_one_json_object_with_time_level_and_service() -> None:
    output = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True).stdout
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["event"] for line in lines] == ["something happened", "a library says so", "it failed"]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert {line["service"] for line in lines} == {"test"}
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert lines[0]["number"] == 3


def test_a_line_of_the_log_is_plain_in_a_terminal() -> None:
    said = 'configure(); logging.getLogger("library").error("a server said %s", "\\x1b[2J\\x9b31m\\x7f\\u202e\\n")'
    program = f"import logging\nfrom services.chassis.journal import configure\n{said}"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert set(output) <= {*range(0x20, 0x7F), 0x0A}
    assert json.loads(output)["event"] == "a server said \x1b[2J\x9b31m\x7f\u202e\n"


def test_a_traceback_shows_no_values() -> None:
    output = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True).stdout
    [failure] = [json.loads(line) for line in output.splitlines() if "it failed" in line]
    assert "no such thing" in json.dumps(failure["exception"])
    assert "Noor" not in output
