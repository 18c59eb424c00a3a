"""Tables, labels and splits."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxr_node.domain.film_geometry import View
from training import datasets
from training.datasets import BINS, FOLDS, LabeledFilm

REDUCED = "file,labels,view_position,patient,age,sex"
NIH = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"


def _film(patient: str, *, view: View = View.PA, opacity: bool = True) -> LabeledFilm:
    return LabeledFilm(
        path=Path(f"{patient}-{view}-{opacity}.png"),
        patient=patient,
        view=view,
        age=50.0,
        sex="F",
        labels=frozenset(),
        opacity=opacity,
    )


def _folder(tmp_path: Path, *names: str) -> Path:
    for name in names:
        Image.fromarray(np.full((4, 4), 51, np.uint8)).save(tmp_path / name)
    return tmp_path


def _table(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("header", "row"),
    [(REDUCED, "a.png,{},AP,7,061Y,M"), (NIH, "a.png,{},0,7,061Y,M,AP")],
)
@pytest.mark.parametrize(
    ("labels", "opacity"), [("No Finding", False), ("Edema", True), ("Mass|Infiltration", True), ("Pneumonia", True)]
)
def test_both_tables_are_understood(tmp_path: Path, header: str, row: str, labels: str, opacity: bool) -> None:
    (film,) = datasets.read_table(_table(tmp_path, header, row.format(labels)), _folder(tmp_path, "a.png"))

    assert (film.patient, film.view, film.age, film.opacity) == ("7", View.AP, 61.0, opacity)


def test_films_without_a_definite_label_are_left_out(tmp_path: Path) -> None:
    table = _table(
        tmp_path, REDUCED, "a.png,Effusion,AP,7,61,M", "b.png,No Finding,AP,8,61,M", "gone.png,Edema,AP,9,61,M"
    )

    films = datasets.read_table(table, _folder(tmp_path, "a.png", "b.png"))

    assert [film.path.name for film in films] == ["b.png"]


def test_films_not_on_the_list_are_left_out(tmp_path: Path) -> None:
    table = _table(tmp_path, REDUCED, "a.png,Edema,AP,7,61,M", "b.png,No Finding,AP,8,61,M")
    (tmp_path / "only.txt").write_text("b.png\n")

    films = datasets.read_table(table, _folder(tmp_path, "a.png", "b.png"), only=tmp_path / "only.txt")

    assert [film.path.name for film in films] == ["b.png"]


def test_a_table_without_a_column_is_refused_naming_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Finding Labels"):
        datasets.read_table(_table(tmp_path, "file,patient", "a.png,7"), tmp_path)


def test_a_folder_without_films_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no film"):
        datasets.read_table(_table(tmp_path, REDUCED, "a.png,Edema,AP,7,61,M"), tmp_path)


@pytest.mark.slow
@given(st.integers(0, 5), st.integers(0, FOLDS - 1))
def test_no_patient_is_in_two_parts_of_a_split(seed: int, member: int) -> None:
    films = tuple(_film(str(patient), view=view) for patient in range(200) for view in (View.PA, View.AP))

    part = datasets.split(films, fold=member, seed=seed)

    groups = [{film.patient for film in films} for films in (part.train, part.validation, part.test)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 200
    assert len(part.train) + len(part.validation) + len(part.test) == len(films)


def test_every_patient_is_tested_by_exactly_one_member() -> None:
    films = tuple(_film(str(patient)) for patient in range(300))

    tested = [film.patient for member in range(FOLDS) for film in datasets.split(films, fold=member, seed=1).test]

    assert sorted(tested) == sorted(film.patient for film in films)


def test_a_patients_bin_does_not_depend_on_the_other_films() -> None:
    assert [datasets.bin_of(patient, seed=1) for patient in ("61", "150", "165")] == [8, 8, 1]
    assert {datasets.bin_of(str(patient), seed=1) for patient in range(500)} == set(range(BINS))


def test_a_picture_becomes_a_film_of_the_same_brightness(tmp_path: Path) -> None:
    film = datasets.radiograph(_folder(tmp_path, "a.png") / "a.png")

    assert np.all(film.p_values == 51 * 257)
