"""Points and embeddings in a whole node: reading, database, results, page, retention and export, on both databases."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from cxr_node.cli import embeddings as export
from cxr_node.db.database import Database
from cxr_node.db.point_tables import embedding
from cxr_node.domain.reading import Laterality, Prediction, Reading
from cxr_node.infer import bundle
from cxr_node.infer.reader import Reader
from cxr_node.queries import embeddings, view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.reading.cascade import Cascade, Member
from cxr_node.reading.network import Network
from cxr_node.records import readings
from cxr_node.report import codes
from cxr_node.report.kinds import presentation_state, secondary_capture, tid1500
from cxr_node.report.sr.tree import children_of, items, meaning_of, name_of
from cxr_node.web.drawing import drawing
from cxr_node.work.periodic.retention import remove_expired
from tests.support import films, tiny_bundles, turned_films
from tests.support.node import InProcessNode, received
from tests.support.stub_prediction import RULES
from tests.support.turned_films import Turned

pytestmark = pytest.mark.ci_on_postgresql

KEPT = replace(RULES, keep_embeddings=True)
KINDS = (tid1500.REPORT, presentation_state.PRESENTATION_STATE, secondary_capture.PICTURE)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(bundle.load(tiny_bundles.pointing_bundle(tmp_path_factory.mktemp("pointing"))), device="cpu")


@pytest.fixture(scope="module")
def opacity(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(bundle.load(tiny_bundles.bundle(tmp_path_factory.mktemp("opacity"))), device="cpu")


@pytest.fixture
def node(database: Database, tmp_path: Path, reader: Reader) -> InProcessNode:
    return InProcessNode(database, tmp_path, network=lambda: reader, rules=KEPT, kinds=KINDS)


def stored(node: InProcessNode, film_id: int = 1) -> Reading:
    with node.database.read() as connection:
        reading = readings.latest(connection, film_id, received(films.dx()).identity)
    assert reading is not None
    return reading


def prediction(node: InProcessNode, film_id: int = 1) -> Prediction:
    reading = stored(node, film_id)
    assert reading.prediction is not None
    return reading.prediction


def rows(node: InProcessNode) -> Sequence[dict[str, object]]:
    with node.database.read() as connection:
        return view_rows.rows(connection, VIEWS["v1_points"], order="key")


def test_a_film_has_its_points_and_its_embedding_with_their_model(node: InProcessNode, reader: Reader) -> None:
    node.accept(films.dx(rows=300, columns=280))
    node.work()

    carina, tip = prediction(node).points
    assert (carina.key, carina.at, carina.is_visible) == ("carina", (70.0, 225.0), True)
    assert (tip.key, tip.is_visible, tip.laterality) == ("tube_tip", False, Laterality.RIGHT)
    assert 0.0 < carina.confidence == tip.confidence < 1.0
    (vector,) = prediction(node).embeddings
    assert len(vector.vector) == 6 * 4
    assert [row["key"] for row in rows(node)] == ["carina", "tube_tip"]
    assert {(row["model_name"], row["weights_digest"]) for row in rows(node)} == {
        ("pointing", reader.identity.weights_digest)
    }
    assert [rows(node)[0][name] for name in ("column_px", "row_px", "is_visible")] == [70.0, 225.0, True]


def test_points_of_a_turned_film_lie_on_the_film_as_sent(node: InProcessNode) -> None:
    """The page draws them on the film as it hangs."""
    for turn in turned_films.ALL:
        node.accept(turned_films.turned_copy(turn, turn.patient_orientation()))
    node.work()

    for film_id, turn in enumerate(turned_films.ALL, start=1):
        point = prediction(node, film_id).points[0]
        assert point.at == pytest.approx(Turned.point(turn, (70.0, 225.0))), turn
        drawn = drawing(stored(node, film_id))
        assert drawn is not None
        assert [shape.at for shape in drawn.shapes("points")] == [pytest.approx((70.0, 225.0))], turn


def test_without_patient_orientation_a_point_has_no_side(node: InProcessNode) -> None:
    node.accept(films.dx(changes={"PatientOrientation": None}))
    node.work()

    assert [point.laterality for point in prediction(node).points] == [None, None]


def test_embeddings_are_not_kept_unless_the_settings_say_so(database: Database, tmp_path: Path, reader: Reader) -> None:
    node = InProcessNode(database, tmp_path, network=lambda: reader)
    node.accept(films.dx())
    node.work()

    assert prediction(node).points
    assert prediction(node).embeddings == ()


def test_a_visible_point_is_in_the_report_with_its_place_and_model(node: InProcessNode, reader: Reader) -> None:
    node.accept(films.dx(rows=300, columns=280))
    node.work()

    (report,) = [document for document in node.pacs.reports() if document.Modality == "SR"]
    (group,) = [
        item
        for _, item in items(report)
        if item.ValueType == "CONTAINER"
        and any(child.ValueType == "TEXT" and child.TextValue == "cxr-node Carina" for child in children_of(item))
    ]
    (number,) = [child for child in children_of(group) if child.ValueType == "NUM"]
    (place,) = children_of(number)
    assert (name_of(number), place.GraphicType) == (codes.CERTAINTY_OF_FINDING.value, "POINT")
    assert list(place.GraphicData) == [70.0, 225.0]
    texts = [str(child.TextValue) for child in children_of(group) if child.ValueType == "TEXT"]
    assert "pointing" in texts
    equipment = [str(item.get("ContributionDescription")) for item in report.ContributingEquipmentSequence]
    assert any(reader.identity.weights_digest in text for text in equipment)
    meanings = {child.ConceptCodeSequence[0].CodeMeaning for child in children_of(group) if child.ValueType == "CODE"}
    assert "Carina" in meanings
    assert not [item for _, item in items(report) if "Tip of tube" in (meaning_of(item), str(item.get("TextValue")))]


def test_a_visible_point_is_marked_in_the_presentation_state(node: InProcessNode) -> None:
    node.accept(films.dx(rows=300, columns=280))
    node.work()

    (state,) = [document for document in node.pacs.reports() if document.Modality == "PR"]
    (annotation,) = state.GraphicAnnotationSequence
    (mark,) = annotation.GraphicObjectSequence
    assert (mark.GraphicType, list(mark.GraphicData)) == ("POINT", [70.0, 225.0])
    assert str(annotation.TextObjectSequence[0].UnformattedTextValue).startswith("Carina ")


def test_of_a_cascade_points_and_embeddings_name_their_model(
    database: Database, tmp_path: Path, reader: Reader, opacity: Reader
) -> None:
    members = Member(name="opacity", network=opacity), Member(name="points", network=reader)
    network: Network = Cascade(members=members)
    node = InProcessNode(database, tmp_path, network=lambda: network, rules=KEPT)
    node.accept(films.dx())
    node.work()

    read = prediction(node)
    assert read.model.name == "tiny"
    assert {read.model_of(point).name for point in read.points} == {"pointing"}
    assert [read.model_of(vector).name for vector in read.embeddings] == ["pointing"]
    assert {row["model_name"] for row in rows(node)} == {"pointing"}
    with database.read() as connection:
        assert [model.name for model in embeddings.models(connection)] == ["pointing"]


def test_a_film_read_again_replaces_its_points_and_embedding(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    before = stored(node)

    with node.database.write() as transaction:
        readings.write(transaction, 1, before, now=node.clock.now)

    assert stored(node) == before
    assert len(rows(node)) == 2


def test_retention_removes_embeddings_and_leaves_points(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    node.clock.advance(days=31)

    assert remove_expired(node.database, node.archive, keep=timedelta(days=30), clock=node.clock) == 1

    with node.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(embedding)).scalar_one() == 0
    assert [point.key for point in prediction(node).points] == ["carina", "tube_tip"]


def test_exported_files_have_every_bit_of_the_embeddings(node: InProcessNode, tmp_path: Path) -> None:
    first = films.dx(rows=300, columns=280)
    node.accept(first)
    node.accept(films.dx(seed=5, rows=300, columns=280))
    node.work()
    with node.database.read() as connection:
        (model,) = embeddings.models(connection)
        vectors = embeddings.of_model(connection, model, since=None, until=None)
        assert embeddings.of_model(connection, model, since=node.clock.now, until=None) == []

    (tmp_path / "all.npz").write_bytes(export._npz(vectors, model))
    with np.load(tmp_path / "all.npz", allow_pickle=False) as file:
        matrix = file["embedding"]
        assert file["film_id"].tolist() == [1, 2]
        assert file["sop_instance_uid"].tolist()[0] == first.SOPInstanceUID
    assert [row.tobytes() for row in matrix] == [prediction(node, film).embeddings[0].vector for film in (1, 2)]
    lines = list(csv.DictReader(export._csv(vectors).decode().splitlines()))
    numbers = np.array([[line[f"e{number}"] for number in range(6)] for line in lines], np.float32)
    assert numbers.tobytes() == matrix.tobytes()
