"""``deelname theme``: publish and list themes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.desk import Desk, command, group
from cli.document import read
from contracts.commands import Published, PublishTheme
from contracts.queries import Everything, ThemeList
from contracts.theme import Theme

app = group("Themes: what programmes are about, with goals that the theme report answers for.")


@command(app, "publish", examples=["deelname theme publish theme.yaml"])
def publish(
    desk: Desk, files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML files, one theme each.")]
) -> None:
    """Publish themes from YAML; publishing again replaces what changed."""
    documents = [read(file, Theme, "theme") for file in files]
    results: list[Published] = []
    with desk.connect() as connection:
        for document in documents:
            result = connection.do("registration", "theme", "publish", PublishTheme(theme=document.value), Published)
            results.append(result)
            desk.output.say(f"✓ {result.id}: {'published' if result.facts else 'nothing changed'}")
    if desk.output.as_json:
        desk.output.json([result.model_dump(mode="json") for result in results])
    desk.output.next(f"deelname report theme {results[-1].id}")


@command(app, "list", examples=["deelname theme list"])
def list_(desk: Desk) -> None:
    """All themes with their goals."""
    with desk.connect() as connection:
        answer = connection.ask("registration", "theme", "list", Everything(), ThemeList)
    if desk.output.as_json:
        desk.output.json(answer)
        return
    desk.output.table(
        "Themes",
        ["Theme", "Title", "Organisers", "Goals", "Municipalities"],
        [
            (
                theme.id,
                getattr(theme.title, desk.language),
                theme.organisers,
                [goal.id for goal in theme.goals],
                len(theme.municipalities),
            )
            for theme in answer.themes
        ],
        empty="No theme is published yet: deelname theme publish FILE",
    )
