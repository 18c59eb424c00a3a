"""Equipment and identifiers of films in the database: at reception, from the archive, until their removal."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian
from sqlalchemy import select, update

from cxr_node import pipeline
from cxr_node.archive.store import film_key
from cxr_node.composing.film_attributes import AttributeRules
from cxr_node.db.database import Database
from cxr_node.db.identifier_tables import film_identifiers
from cxr_node.db.tables import film as film_table
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.instance import Instance
from cxr_node.queries import view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.receive import part10
from cxr_node.receive.identify import identify_with_values
from cxr_node.records import dump
from cxr_node.work.periodic import film_attributes
from cxr_node.work.periodic.retention import remove_expired
from tests.support import films
from tests.support.node import ATTRIBUTE_RULES, InProcessNode, received
from tests.support.queue import SENDER

pytestmark = pytest.mark.ci_on_postgresql

EQUIPMENT = ("modality", "manufacturer", "manufacturer_model_name", "station_name")
IDENTIFIERS = (
    "accession_number",
    "patient_id",
    "issuer_of_patient_id",
    "patient_name",
    "study_date",
    "study_description",
)
CHANGES: Mapping[str, object] = {
    "StationName": "ROOM 1", "IssuerOfPatientID": "Test Hospital", "StudyDescription": "Thorax ap"
}  # fmt: skip
NAMES = replace(ATTRIBUTE_RULES, keeps_names=True)
STATED = ("ACC-1", films.PATIENT_ID, "Test Hospital", None, "2024-05-01", "Thorax ap")


@pytest.fixture
def node(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path)


def rows(node: InProcessNode, view: str) -> list[tuple[Any, ...]]:
    columns = EQUIPMENT if view == "v1_films" else IDENTIFIERS
    with node.database.read() as connection:
        return [
            tuple(row.values()) for row in view_rows.rows(connection, VIEWS[view], columns=columns, order="film_id")
        ]


def fill(node: InProcessNode, rules: AttributeRules = ATTRIBUTE_RULES) -> int:
    return film_attributes.update(node.database, node.archive, rules)


def accept(node: InProcessNode, instance: Instance, rules: AttributeRules = ATTRIBUTE_RULES) -> bool:
    return pipeline.accept(
        instance, SENDER, archive=node.archive, database=node.database, attributes=rules.attributes, clock=node.clock
    )


def accept_as_before(node: InProcessNode, film: Dataset) -> None:
    """Store a film as a node of the version before does: without attributes."""
    pipeline.accept(received(film), SENDER, archive=node.archive, database=node.database, clock=node.clock)


def test_a_received_film_has_equipment_and_identifiers(node: InProcessNode) -> None:
    node.accept(films.dx(changes=CHANGES))
    node.accept(films.dx(seed=2, changes={"Modality": "", "Manufacturer": None, "ManufacturerModelName": None}))

    assert rows(node, "v1_films") == [("DX", "Test Films", "Made", "ROOM 1"), (None, None, None, None)]
    assert rows(node, "v1_film_identifiers") == [STATED, ("ACC-1", films.PATIENT_ID, None, None, "2024-05-01", None)]
    assert fill(node) == 0


def test_malformed_values_neither_refuse_nor_lose_a_film(node: InProcessNode) -> None:
    film = films.dx(changes={"StudyDescription": "x" * 64})
    content = received(film).content
    for valid, malformed in (
        (films.PATIENT_ID.encode() + b" ", b"1\0\x1b$)\xff\x07 2\0\0\0\0\0"),
        (b"20240501", b"yesterda"),
        (b"x" * 64, b"\xc3" * 64),
        (b"ISO_IR 100", b"ISO_IR 192"),
    ):
        assert len(valid) == len(malformed)
        assert valid in content
        content = content.replace(valid, malformed)
    data_set = memoryview(content)[films.data_set_offset(content) :]
    syntax = received(film).transfer_syntax_uid
    identity, header_values = identify_with_values(data_set, transfer_syntax_uid=syntax)
    instance = part10.instance_of(
        identity, data_set, transfer_syntax_uid=syntax, sender=SENDER, header_values=header_values
    )

    assert accept(node, instance)
    ((_, patient_id, _, _, study_date, description),) = rows(node, "v1_film_identifiers")
    assert patient_id.startswith("1 ")
    assert patient_id.isprintable()
    assert (study_date, len(description)) == (None, 64)


@pytest.mark.parametrize("deflated", [False, True])
def test_films_of_the_version_before_get_attributes(node: InProcessNode, deflated: bool) -> None:
    film = films.dx(changes=CHANGES)
    if deflated:
        film.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    accept_as_before(node, film)
    assert rows(node, "v1_films") == [(None, None, None, None)]

    assert (fill(node), fill(node)) == (1, 0)

    assert rows(node, "v1_films") == [("DX", "Test Films", "Made", "ROOM 1")]
    assert rows(node, "v1_film_identifiers") == [STATED]


def test_a_film_whose_file_is_not_its_own_gets_no_attributes(node: InProcessNode) -> None:
    for seed in (0, 1, 2):
        accept_as_before(node, films.dx(seed=seed))
    missing, altered = (film_key(received(films.dx(seed=seed)).digest) for seed in (0, 1))
    node.archive.discard(missing)
    node.archive.put(altered, received(films.dx(seed=7)).content)

    assert (fill(node), fill(node)) == (3, 0)

    assert [row[0] for row in rows(node, "v1_films")] == [None, None, "DX"]
    assert len(rows(node, "v1_film_identifiers")) == 1


def test_nothing_is_written_while_the_archive_is_away(node: InProcessNode, tmp_path: Path) -> None:
    accept_as_before(node, films.dx())
    (tmp_path / "archive" / "films").rename(tmp_path / "away")

    with pytest.raises(RetryLater):
        fill(node)
    (tmp_path / "away").rename(tmp_path / "archive" / "films")

    assert fill(node) == 1


def test_a_folder_that_is_away_keeps_no_other_film_from_being_read(node: InProcessNode, tmp_path: Path) -> None:
    for seed in (0, 1):
        accept_as_before(node, films.dx(seed=seed, changes=CHANGES))
    folder = (tmp_path / "archive" / film_key(received(films.dx(seed=1, changes=CHANGES)).digest)).parent
    folder.rename(tmp_path / "away")

    with pytest.raises(RetryLater):
        fill(node)
    assert [row[0] for row in rows(node, "v1_films")] == ["DX", None]

    (tmp_path / "away").rename(folder)
    assert fill(node) == 1


def test_identifiers_are_removed_with_the_film_and_come_back_with_it(node: InProcessNode) -> None:
    node.accept(films.dx(changes=CHANGES))
    node.work()
    node.clock.advance(days=31)
    assert remove_expired(node.database, node.archive, keep=timedelta(days=30), clock=node.clock) == 1
    assert rows(node, "v1_film_identifiers") == []
    assert rows(node, "v1_films") == [("DX", "Test Films", "Made", "ROOM 1")]
    assert fill(node) == 0

    assert not node.accept(films.dx(changes=CHANGES))

    assert fill(node) == 1
    assert rows(node, "v1_film_identifiers") == [STATED]
    assert not node.accept(films.dx(changes=CHANGES))
    assert fill(node) == 0


def test_identifiers_that_are_not_to_be_kept_are_deleted(node: InProcessNode) -> None:
    for seed in (0, 1):
        accept(node, received(films.dx(seed=seed)), NAMES)
    assert {row[3] for row in rows(node, "v1_film_identifiers")} == {films.PATIENT_NAME}
    fill(node, NAMES)
    assert {row[3] for row in rows(node, "v1_film_identifiers")} == {films.PATIENT_NAME}

    fill(node)
    assert {row[3] for row in rows(node, "v1_film_identifiers")} == {None}
    assert len(rows(node, "v1_film_identifiers")) == 2

    fill(node, replace(ATTRIBUTE_RULES, keeps_identifiers=False))
    assert rows(node, "v1_film_identifiers") == []
    assert {row[0] for row in rows(node, "v1_films")} == {"DX"}


def test_a_dump_has_no_identifiers_of_films_removed_meanwhile(node: InProcessNode, tmp_path: Path) -> None:
    node.accept(films.dx())
    node.accept(films.dx(seed=1))
    path = tmp_path / "dump.db"
    dump.write(node.database, path)
    dump.mark_removed(path, [film_key(received(films.dx()).digest)], at=node.clock.now)

    copy = Database(f"sqlite:///{path}")
    with copy.read() as connection:
        left = connection.execute(select(film_identifiers.c.film_id)).scalars().all()
    copy.close()
    assert left == [2]


def test_a_removed_film_is_not_filled(node: InProcessNode) -> None:
    accept_as_before(node, films.dx())
    with node.database.write() as transaction:
        transaction.connection.execute(update(film_table).values(removed_at=node.clock.now))

    assert fill(node) == 0
    assert rows(node, "v1_film_identifiers") == []
