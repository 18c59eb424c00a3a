"""Last table of the demo: each film, what it is, what the node answered, scores beside thresholds, where to look."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from cxr_node.cli import demo_files
from cxr_node.cli.database import reading_database
from cxr_node.cli.terminal import out
from cxr_node.domain.reading import Presence
from cxr_node.domain.reasons import reason_meaning
from cxr_node.ops.formatting import finding_words, score_words
from cxr_node.queries import view_rows
from cxr_node.queries.view_rows import equal
from cxr_node.queries.views.registry import VIEWS

Row = Mapping[str, Any]


def show(config: Path, films: Mapping[Path, str], folder: Path, *, page_address: str) -> None:
    """Print a row for each film. `films` has what each shows, "" where that is unknown."""
    table = Table("film", "what it is", "answer of the node", "score / threshold", "where to look")
    with reading_database(config) as connection:
        for path, description in films.items():
            of_study = [equal("study_instance_uid", demo_files.study_of(path))]
            (film, *_) = view_rows.rows(connection, VIEWS["v1_films"], conditions=of_study)
            of_film = [equal("film_id", film["film_id"])]
            findings = view_rows.rows(connection, VIEWS["v1_findings"], conditions=of_film, order="finding_id")
            link = f"http://{page_address}/films/{film['film_id']}" if page_address else ""
            place = link or str(demo_files.place_of(folder, path.stem))
            table.add_row(path.stem, description or "-", answer_of(film, findings), scores_of(findings), place)
    out.print(table)
    out.print(f"Films, reports, pictures, the node's data folder and the PACS's files are in {folder}", soft_wrap=True)


def answer_of(film: Row, findings: Sequence[Row]) -> str:
    """Return the findings of a film that are not absent, or why it was not analysed."""
    if film["state"] == "not_analysed":
        return f"not analysed: {reason_meaning(film['reason'])}"
    words = [
        finding_words(one["code_meaning"], one["laterality"], one["presence"])
        for one in findings
        if one["presence"] != Presence.ABSENT
    ]
    return "; ".join(words) or "no finding"


def scores_of(findings: Sequence[Row]) -> str:
    """Return the score of each finding beside its threshold: 0 to 100, or ratios."""
    return (
        "; ".join(
            f"{one['code_meaning'].lower()} {score_words(one['key'], one['score'], one['operating_point'])}"
            for one in findings
        )
        or "-"
    )
