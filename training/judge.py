"""Figures of a finding on patients that its fit did not see, its calibration and its operating point."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from training import metrics
from training.cells import soft_maximum
from training.features import Features
from training.film_statistics import FEWEST_FILMS, LARGEST_AUC, columns_of, rank_correlation, separation, statistics_of
from training.metrics import Bools, Estimate, Floats
from training.readings import ReadFilm

LEAST_AUC = 0.70
"""A finding is offered if the lower bound of its AUC reaches this."""
ALERTS = 0.09
"""Share of fairly chosen films without finding on which a finding is present."""
VIEW_SHARE = 0.3
"""Share of the difference between the views' operating points that is taken off the logit of an AP film."""
UNDETERMINED_BAND = 0.25
"""Width of the undetermined band below the operating point, in logits."""
SENSITIVITY = 0.8
FALSE_SHARE = 0.2
"""Share of films without finding that may score higher when planted opacities are counted."""

VIEWS = ("all", "PA", "AP")


def opacity(
    name: str,
    films: Sequence[ReadFilm],
    raw: Floats,
    cell_logits: Floats,
    features: Features,
    planted_logits: Floats,
    tested: Features,
) -> tuple[dict[str, Any], dict[str, float]]:
    """Return figures of opacity against radiologists' readings, and scale, offset and operating point.

    Parameters
    ----------
    raw, cell_logits
        Logits of films (films,) and of their cells (films, 11, 11).
    planted_logits, tested
        Logits of cells, and features, of films without finding in which opacities are planted.
    """
    read = np.array([film.opacity is not None for film in films])
    positive = np.array([film.opacity is True for film in films])
    table, heads = _figures(name, "radiologists", films, raw, positive, read)
    without = normal(films)
    raw = raw - heads["shift"] * _in_view(films, "AP")
    own = [film for film, one in zip(films, without, strict=True) if one]
    planted = film_logits(planted_logits, tested.lungs) - heads["shift"] * _in_view(own, "AP")
    has_room = tested.opacity.max((1, 2)) > 0
    limit = np.quantile(raw[without], 1 - FALSE_SHARE)
    patients = _films_of(films, without)
    table["maps"] = {
        "radiologists' boxes hit by the map's maximum": _share(
            _hits(cell_logits, features)[read & positive], _films_of(films, read & positive)
        ),
        "planted opacities found": _share((planted >= limit)[has_room], _pick(patients, has_room)),
        "planted opacities hit by the map's maximum": _share(
            _hits(planted_logits, tested)[has_room], _pick(patients, has_room)
        ),
    }
    table["statistics"] = {
        f"{key}, {view}": value
        for view in ("PA", "AP", "fairly chosen")
        for key, value in _separation_by_statistics(films, positive, read & _in_view(films, view)).items()
    }
    mined = np.array([bool(film.labels & {"Pneumonia", "Infiltration", "Consolidation", "Edema"}) for film in films])
    fair = np.array([film.is_fair for film in films])
    table["rows"] += _rows("mined", films, raw, mined, fair)
    return table, heads


def film_logits(cell_logits: Floats, lungs: Floats) -> Floats:
    """Return the soft maximum over lungs, (films, 11, 11), (films, 11, 11) -> (films,)."""
    values: Floats = soft_maximum(torch.from_numpy(cell_logits), torch.from_numpy(lungs).double()).numpy()
    return values


def distilled(name: str, label: str, films: Sequence[ReadFilm], raw: Floats) -> tuple[dict[str, Any], dict[str, float]]:
    """Return figures of a distilled finding against mined labels of fairly chosen films, and its operating point."""
    fair = np.array([film.is_fair for film in films])
    positive = np.array([label in film.labels for film in films])
    table, heads = _figures(name, "mined", films, raw, positive, fair)
    table["statistics"] = _separation_by_statistics(films, positive, fair)
    return table, heads


def is_offered(table: dict[str, Any]) -> bool:
    """Whether a finding is good enough, on labels that statistics of the whole film do not tell."""
    first = table["rows"][0]
    strongest = max(table.get("statistics", {"": 0.0}).values())
    return bool(first["auc"]["low"] >= LEAST_AUC and first["positive"] >= FEWEST_FILMS and strongest < LARGEST_AUC)


def as_text(tables: Sequence[dict[str, Any]]) -> str:
    """Return the figures as Markdown tables."""
    lines = ["| finding | labels | view | films (with) | AUC (95 % interval) |", "|---|---|---|---|---|"]
    for table in tables:
        lines += [
            f"| {table['name']} | {row['labels']} | {row['view']} | {row['films']} ({row['positive']}) "
            f"| {_text(row['auc'])} |"
            for row in table["rows"]
        ]
    lines += ["", "| finding | | value (95 % interval) |", "|---|---|---|"]
    for table in tables:
        lines += [f"| {table['name']} | {key} | {_text(value)} |" for key, value in table["shares"].items()]
        lines += [f"| {table['name']} | {key} | {_text(value)} |" for key, value in table.get("maps", {}).items()]
        lines.append(
            f"| {table['name']} | largest AUC of a statistic of the film | {max(table['statistics'].values()):.3f} |"
        )
        lines += [
            f"| {table['name']} | Spearman's correlation with {key} | {value:.2f} |"
            for key, value in table["correlations"].items()
        ]
    return "\n".join(lines)


def _figures(
    name: str, labels: str, films: Sequence[ReadFilm], raw: Floats, positive: Bools, judged: Bools
) -> tuple[dict[str, Any], dict[str, float]]:
    shift = view_shift(films, raw)
    raw = raw - shift * _in_view(films, "AP")
    scale, offset = metrics.fit_platt(raw[judged], positive[judged], np.ones(int(judged.sum())))
    logits, negative = scale * raw + offset, normal(films)
    threshold = float(np.quantile(logits[negative], 1 - ALERTS))
    own = logits[judged]
    at = np.quantile(own[positive[judged]], 1 - SENSITIVITY)
    without = [film for film, one in zip(films, negative, strict=True) if one]
    columns = columns_of([statistics_of(film.path) for film in without])
    table = {
        "name": name,
        "rows": _rows(labels, films, raw, positive, judged),
        "shares": {
            "sensitivity at the operating point": _share(
                (logits >= threshold)[judged & positive], _films_of(films, judged & positive)
            ),
            "sensitivity on PA films": _share(*_of_view(films, logits >= threshold, judged & positive, "PA")),
            "sensitivity on AP films": _share(*_of_view(films, logits >= threshold, judged & positive, "AP")),
            "present on films without finding": _share((logits >= threshold)[negative], _films_of(films, negative)),
            "present on PA films without finding": _share(*_of_view(films, logits >= threshold, negative, "PA")),
            "present on AP films without finding": _share(*_of_view(films, logits >= threshold, negative, "AP")),
            "present on films without finding at sensitivity 0.8": _share(
                (logits >= at)[negative], _films_of(films, negative)
            ),
        },
        "correlations": {key: rank_correlation(values, logits[negative]) for key, values in columns.items()},
    }
    return table, {"scale": scale, "offset": offset, "threshold": threshold, "shift": shift}


def _rows(labels: str, films: Sequence[ReadFilm], raw: Floats, positive: Bools, judged: Bools) -> list[dict[str, Any]]:
    rows = []
    fair = np.array([film.is_fair for film in films])
    groups = [(view, judged & np.array([view in ("all", film.view) for film in films])) for view in VIEWS]
    if (judged & ~fair).any():
        groups.append(("all, fairly chosen", judged & fair))
    for view, group in groups:
        y, scores = positive[group], raw[group]
        if not y.any() or y.all():
            continue
        estimate = metrics.with_interval(partial(_auc_of, y, scores), _films_of(films, group))
        rows.append(
            {
                "labels": labels,
                "view": view,
                "films": int(group.sum()),
                "positive": int(y.sum()),
                "auc": _plain(estimate),
            }
        )
    return rows


def view_shift(films: Sequence[ReadFilm], logits: Floats) -> float:
    """Return what is taken off the logit of an AP film, as its operating point lies higher; never negative.

    A part of the difference: the whole of it would call ill and well AP films alike, since more AP films are ill.
    """
    points = {view: _operating_point(films, logits, view) for view in ("PA", "AP")}
    return max(0.0, VIEW_SHARE * (points["AP"] - points["PA"]))


def _operating_point(films: Sequence[ReadFilm], logits: Floats, view: str) -> float:
    """Return the logit that `ALERTS` of the films of a view reach that radiologists or mined labels call normal."""
    read = np.array([film.is_read_normal for film in films])
    return float(np.quantile(logits[(normal(films) | read) & _in_view(films, view)], 1 - ALERTS))


def _separation_by_statistics(films: Sequence[ReadFilm], positive: Bools, chosen: Bools) -> dict[str, float]:
    """Return the AUC with which each statistic of the whole film predicts the label on the films `chosen`."""
    own = [film for film, one in zip(films, chosen, strict=True) if one]
    columns = columns_of([statistics_of(film.path) for film in own])
    patients = [film.patient for film in own]
    return {key: separation(values, positive[chosen], patients).value for key, values in columns.items()}


def _in_view(films: Sequence[ReadFilm], view: str) -> Bools:
    return np.array([film.is_fair if view == "fairly chosen" else film.view == view for film in films])


def _auc_of(positive: Bools, scores: Floats, films: npt.NDArray[np.intp]) -> float:
    return metrics.auc(positive[films], scores[films])


def normal(films: Sequence[ReadFilm]) -> Bools:
    """Whether each film was fairly chosen and has no mined finding, nor an opacity by a radiologist."""
    return np.array([film.is_fair and film.has_no_finding and not film.opacity for film in films])


def _hits(cell_logits: Floats, features: Features) -> Bools:
    """Whether the largest logit within the lungs lies where at least a quarter of the cell is opaque."""
    inside = np.where(features.lungs > 0.3, cell_logits, -np.inf).reshape(len(cell_logits), -1)
    best = inside.argmax(1)
    hits: Bools = features.opacity.reshape(len(best), -1)[np.arange(len(best)), best] >= 0.25
    return hits


def _share(flags: Bools, patients: list[str]) -> dict[str, float]:
    if not len(flags):
        return {"value": float("nan"), "low": float("nan"), "high": float("nan")}
    return _plain(metrics.with_interval(lambda index: float(flags[index].mean()), patients))


def _of_view(films: Sequence[ReadFilm], flags: Bools, chosen: Bools, view: str) -> tuple[Bools, list[str]]:
    group = chosen & np.array([film.view == view for film in films])
    return flags[group], _films_of(films, group)


def _films_of(films: Sequence[ReadFilm], chosen: Bools) -> list[str]:
    return [film.patient for film, one in zip(films, chosen, strict=True) if one]


def _pick(patients: list[str], chosen: Bools) -> list[str]:
    return [patient for patient, one in zip(patients, chosen, strict=True) if one]


def _plain(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _text(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"
