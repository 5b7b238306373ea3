"""Alert rules, board and what Prometheus is told to read, as Prometheus' own tool judges them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
FILES = ("alerts.yaml", "nats_alerts.yaml")
RULES: list[dict[str, Any]] = [
    rule for file in FILES for rule in YAML(typ="safe").load(MONITORING / file)["groups"][0]["rules"]
]


@pytest.mark.promtool
@pytest.mark.parametrize(
    "words",
    [*(("check", "rules", file) for file in FILES), ("check", "config", "prometheus.yaml")],
    ids=lambda words: words[2],
)
def test_promtool_takes_the(words: tuple[str, ...]) -> None:
    checked = subprocess.run(["promtool", *words], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.promtool
def test_the_alert_of_a_broker_that_cannot_store_fires_after_a_minute_and_ends_with_the_trouble() -> None:
    tests = Path(__file__).with_name("alerts_test.yaml")
    tested = subprocess.run(
        ["promtool", "test", "rules", str(tests)], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    """Its runbook is a heading of a page that is there."""
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_boards_panels_do_not_overlap() -> None:
    board = json.loads((MONITORING / "board.json").read_text(encoding="utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        own = {(place["x"] + column, place["y"] + row) for column in range(place["w"]) for row in range(place["h"])}
        assert all(column < 24 for column, _ in own)
        assert not taken & own, panel["title"]
        taken |= own
