"""CSV is read by spreadsheets, which calculate what looks like a formula."""

from __future__ import annotations

import pytest

from cli.output import Output
from cli.spreadsheet import COLUMNS


@pytest.mark.parametrize("name", ["=1+1", "@SUM(A1)", " =1+1", "＝1+1", "\t=1", "-2"])
def test_what_a_spreadsheet_would_calculate_is_text(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False, language="en").csv(("Name", "People"), [(name, -2)])
    shown = name.replace("\t", "\\x09")
    assert capsys.readouterr().out == f"Name,People\n'{shown},-2\n"


def test_what_is_counted_since_later_has_its_columns_at_the_end() -> None:
    assert COLUMNS[-4:] == ("Came back", "To be confirmed", "Not confirmed", "Uncertain")
