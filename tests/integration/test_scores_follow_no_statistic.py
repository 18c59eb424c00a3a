"""Whole-film statistics predict neither the labels that teach and judge the built-in bundle, nor its scores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_node.infer import bundle, bundle_registry
from tests.support.built_in import built_in_bundle
from tests.support.films import FILMS, needs_real_films
from training import readings
from training.film_statistics import (
    LARGEST_AUC,
    LARGEST_CORRELATION,
    FilmStatistics,
    columns_of,
    rank_correlation,
    statistics_of,
)
from training.findings import LABELS
from training.metrics import Bools, Floats, auc
from training.readings import ReadFilm
from training.thorax import FILM

pytestmark = [needs_real_films, pytest.mark.slow]

Statistics = dict[Path, FilmStatistics]

FAIR = "nih_fair|nih_cadlab"


@pytest.fixture(scope="module")
def films() -> Sequence[ReadFilm]:
    table = FILMS / "nih_labels.csv"
    if not table.is_file():
        pytest.skip(f"no table {table}")
    return readings.read_table(table, FILMS, chosen=FAIR)


@pytest.fixture(scope="module")
def statistics(films: Sequence[ReadFilm]) -> Statistics:
    return {film.path: statistics_of(film.path) for film in films}


def _strongest(films: Sequence[ReadFilm], positive: Bools, statistics: Statistics) -> float:
    """Return the AUC of the statistic that separates films best."""
    columns = columns_of([statistics[film.path] for film in films])
    return max(max(auc(positive, values), 1 - auc(positive, values)) for values in columns.values())


@pytest.mark.parametrize("group", ["PA", "AP", "fair"])
def test_no_statistic_predicts_the_radiologists_reading(
    group: str, films: Sequence[ReadFilm], statistics: Statistics
) -> None:
    """Over both views together a statistic may tell the view, and with it who is ill: figures stand for each view."""
    own = [
        film for film in films if film.opacity is not None and (film.is_fair if group == "fair" else film.view == group)
    ]

    assert _strongest(own, np.array([bool(film.opacity) for film in own]), statistics) < LARGEST_AUC


def test_no_statistic_predicts_the_label_of_a_finding_offered(
    films: Sequence[ReadFilm], statistics: Statistics
) -> None:
    card = bundle.read_card(bundle_registry.find("chest"))
    own = [film for film in films if film.is_fair]
    offered = [LABELS[label.key] for label in card.labels if label.key in LABELS]

    for label in offered:
        assert _strongest(own, np.array([label in film.labels for film in own]), statistics) < LARGEST_AUC, label


def test_no_score_follows_a_statistic_of_the_film(films: Sequence[ReadFilm], statistics: Statistics) -> None:
    own = [film for film in films if film.is_fair and film.has_no_finding]
    opened = built_in_bundle()
    program = opened.program(torch.device("cpu"))
    rows = []
    with torch.inference_mode():
        for film in own:
            batch = torch.from_numpy(readings.pixels_of(film, FILM))[None, None]
            rows.append(program(batch)["finding_logits"][0].numpy())
    scores: Floats = np.stack(rows)
    columns = columns_of([statistics[film.path] for film in own])

    for number, label in enumerate(opened.card.labels):
        for name, values in columns.items():
            assert abs(rank_correlation(values, scores[:, number])) < LARGEST_CORRELATION, (label.key, name)
