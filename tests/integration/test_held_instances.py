"""Rows that DICOMweb shows, on both databases: conditions, order, pages, and what is hidden."""

from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset

from cxr_node.db.database import Database
from cxr_node.queries import held_instances
from cxr_node.queries.held_instances import Matching
from tests.support import films
from tests.support.node import ATTRIBUTE_RULES, InProcessNode


def film(seed: int, **changes: object) -> Dataset:
    return films.dx(seed=seed, changes=changes)


def matching_uids(database: Database, matching: Matching, *, limit: int = 10, offset: int = 0) -> list[str]:
    """Return the SOP Instance UIDs of films and results that match."""
    with database.read() as connection:
        held = held_instances.instances(connection, matching, limit=limit, offset=offset)
        studies = held_instances.studies(connection, matching, limit=100, offset=0)
        series = held_instances.series(connection, matching, limit=100, offset=0)
        members = held_instances.of_studies(connection, studies)
    assert {instance.study_id for instance in held} <= set(studies)
    assert {(instance.study_id, instance.series_instance_uid) for instance in held} <= set(series)
    assert {instance.sop_instance_uid for instance in held} <= {member.sop_instance_uid for member in members}
    return [str(instance.sop_instance_uid) for instance in held]


def test_instances_are_found_by_their_own_and_their_studys_attributes(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    first = film(1, PatientID="50%_A", StudyDate="20260101", AccessionNumber="X!1")
    second = film(2, PatientID="50xyA", StudyDate="20260201", AccessionNumber="X2")
    for one in (first, second):
        node.accept(one)
    uids = [str(one.SOPInstanceUID) for one in (first, second)]

    assert matching_uids(database, Matching()) == uids[::-1]
    assert matching_uids(database, Matching(), limit=1) == uids[1:]
    assert matching_uids(database, Matching(), limit=1, offset=1) == uids[:1]
    assert matching_uids(database, Matching(identifiers={"patient_id": "50%_A"})) == uids[:1]
    assert matching_uids(database, Matching(identifiers={"patient_id": "50*A"})) == uids[::-1]
    assert matching_uids(database, Matching(identifiers={"patient_id": "50%?A"})) == uids[:1]
    assert matching_uids(database, Matching(identifiers={"accession_number": "X!*"})) == uids[:1]
    assert matching_uids(database, Matching(dates=("2026-01-15", ""))) == uids[1:]
    assert matching_uids(database, Matching(dates=("", "2026-01-15"))) == uids[:1]
    assert matching_uids(database, Matching(sop_instance_uids=(uids[0], "1.2"))) == uids[:1]
    assert matching_uids(database, Matching(series_instance_uids=(str(second.SeriesInstanceUID),))) == uids[1:]
    assert matching_uids(database, Matching(study_instance_uids=(str(first.StudyInstanceUID),))) == uids[:1]
    assert matching_uids(database, Matching(modalities=("DX",))) == uids[::-1]
    assert matching_uids(database, Matching(modalities=("CR",))) == []
    assert matching_uids(database, Matching(sop_class_uids=("1.2",))) == []


def test_results_follow_their_films_and_count_by_their_modality(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    one = film(3)
    node.accept(one)
    node.work()
    with database.read() as connection:
        film_row, result = held_instances.instances(connection, Matching(), limit=10)

    assert str(film_row.sop_instance_uid) == str(one.SOPInstanceUID)
    assert node.archive.get(result.archive_key)
    reports = Matching(modalities=("SR",), result_modalities={str(result.sop_class_uid): "SR"})
    assert len(matching_uids(database, reports)) == 2
    assert matching_uids(database, Matching(modalities=("SR",))) == []


def test_identifiers_are_matched_with_regard_to_case_on_both_databases(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    upper, lower = film(4, PatientID="AB1[x]"), film(5, PatientID="ab1")
    for one in (upper, lower):
        node.accept(one)

    assert matching_uids(database, Matching(identifiers={"patient_id": "ab*"})) == [str(lower.SOPInstanceUID)]
    assert matching_uids(database, Matching(identifiers={"patient_id": "AB?[*]"})) == [str(upper.SOPInstanceUID)]
    assert matching_uids(database, Matching(identifiers={"patient_id": "ab1[x]"})) == []


def test_names_are_matched_without_regard_to_case_on_both_databases(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    rules = replace(ATTRIBUTE_RULES, keeps_identifiers=True, keeps_names=True)
    named = [
        film(seed, SpecificCharacterSet="ISO_IR 192", PatientName=name)
        for seed, name in enumerate(("MÜLLER^HANS", "Müller^Hans", "müller^hans", "Muller^Hans"), start=6)
    ]
    for one in named:
        node.accept(one, rules=rules)
    accented = [str(one.SOPInstanceUID) for one in named[2::-1]]

    for text in ("MÜLLER*", "müller^h?ns", "Müller^Hans", "*Ü*"):
        assert matching_uids(database, Matching(identifiers={"patient_name": text})) == accented
