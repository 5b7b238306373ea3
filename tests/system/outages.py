"""The matrix of the runbook, and alert rules as Prometheus' own tool evaluates them on what services serve."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
RULES = ROOT / "deploy" / "monitoring" / "alerts.yaml"
EXPRESSIONS = {rule["alert"]: rule["expr"] for rule in YAML(typ="safe").load(RULES)["groups"][0]["rules"]}
_ASKED_FOR = frozenset(re.findall(r"deelname_[a-z_]+", " ".join(EXPRESSIONS.values())))
_ROW = re.compile(
    r"^\| \[(?P<what>[^]]+)\]\(#(?P<section>[a-z-]+)\) \| (?P<ready>.*?) \| (?P<doctor>.*?) \| (?P<alert>.*?) \|$"
)
_NEVER = "–"
CLOCK = "deelname_clock_seconds"


@dataclass(frozen=True)
class Row:
    """A line of the runbook's table: where a failure is seen. "" where it is not seen there."""

    what: str
    section: str
    ready: tuple[str, ...]
    doctor: str
    alert: str


def table() -> dict[str, Row]:
    """The table, by what is wrong."""
    rows = [match for line in PAGE.read_text(encoding="utf-8").splitlines() if (match := _ROW.match(line))]
    return {
        row["what"]: Row(
            row["what"],
            row["section"],
            tuple(re.findall(r"`([a-z_]+)(?:/…)?`", row["ready"])),
            row["doctor"].strip("`").replace(_NEVER, ""),
            row["alert"].strip("`").replace(_NEVER, ""),
        )
        for row in rows
    }


Series = Mapping[str, str]
"""Prometheus' notation of what was scraped for two hours, once a minute, by series."""


def scraped(service: str, exposed: str | None, at: float) -> Series:
    """What a service served at a moment, as if it had gone on so; of one that did not answer, that it is down."""
    series = {f'up{{job="{service}"}}': "1x120" if exposed is not None else "0x120"}
    for family in text_string_to_metric_families(exposed or ""):
        for sample in family.samples:
            if sample.name in _ASKED_FOR:
                labels = {"job": service, **sample.labels}
                written = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(labels.items()))
                # A clock goes on; the tool's own begins at 0.
                value = f"{sample.value - at:.0f}+60x120" if sample.name == CLOCK else f"{sample.value:.3f}x120"
                series[f"{sample.name}{{{written}}}"] = value
    return series


def fires(folder: Path, series: Series, alert: str) -> bool:
    """Whether an alert fires after two hours of this."""
    return _is(folder, series, f'count(ALERTS{{alertstate="firing",alertname="{alert}"}}) > bool 0 or vector(0)')


def quiet(folder: Path, series: Series, but: Iterable[str] = ()) -> bool:
    """Whether nothing fires after two hours of this."""
    left_out = "|".join(but) or "nothing"
    counted = f'count(ALERTS{{alertstate="firing",alertname!~"{left_out}"}})'
    return _is(folder, series, f"({counted} or vector(0)) == bool 0")


def _is(folder: Path, series: Series, expression: str) -> bool:
    said = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {"expr": expression, "eval_time": "119m", "exp_samples": [{"labels": "{}", "value": 1}]}
                ],
            }
        ],
    }
    file = folder / "outage.yaml"
    file.write_text(json.dumps(said))
    told = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert "exp:" in told.stdout + told.stderr or told.returncode == 0, told.stdout + told.stderr
    return told.returncode == 0
