"""Every result kind, stored in Orthanc and retrieved unchanged."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import dcmread

from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.peer import Peer
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.reduced_film import ReducedFilm
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.report.kinds import segmentation
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.source import ComposeRequest, ReportedFilm
from tests.support import films, peers
from tests.unit.report.studies import NODE, NOW, composed, everything


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Orthanc]:
    with peers.orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


def load_film(film: ReportedFilm) -> ReducedFilm:
    return reduce_film(radiograph(film.header, limits=Limits()))


def _destination(orthanc: peers.Orthanc) -> CStoreDestination:
    return CStoreDestination(
        name="orthanc",
        peer=Peer(
            host=peers.LOOPBACK,
            port=orthanc.port,
            called_ae_title=AeTitle(orthanc.ae_title),
            calling_ae_title=AeTitle("CXRNODE"),
        ),
    )


@pytest.mark.parametrize("kind", RESULT_KINDS, ids=lambda kind: str(kind.name))
def test_orthanc_returns_every_kind_unchanged(kind: ResultKind, orthanc: peers.Orthanc, tmp_path: Path) -> None:
    film = everything(films.dx())
    (result,) = kind.compose(ComposeRequest(films=[film], load_film=load_film, observer=NODE, now=NOW))

    assert _destination(orthanc).send(result.content).status == 0
    returned = orthanc.file(result.identity.sop_instance_uid)

    assert returned[films.data_set_offset(returned) :] == result.content[films.data_set_offset(result.content) :]
    assert str(dcmread(BytesIO(returned)).file_meta.TransferSyntaxUID) == str(result.transfer_syntax_uid)


def test_results_are_in_the_study_of_their_film(orthanc: peers.Orthanc, tmp_path: Path) -> None:
    header = films.cr()
    request = ComposeRequest(films=[everything(header)], load_film=load_film, observer=NODE, now=NOW)
    destination = _destination(orthanc)
    destination.send(films.written(header, tmp_path).read_bytes())
    results = [result for kind in RESULT_KINDS for result in kind.compose(request)]
    for result in results:
        destination.send(result.content)

    studies = {
        str(orthanc.get(f"/instances/{instance}/study"))
        for uid in [str(header.SOPInstanceUID), *(result.identity.sop_instance_uid for result in results)]
        for instance in orthanc.find(uid)
    }
    assert len(results) == len(RESULT_KINDS)
    assert len(studies) == 1


def test_highdicom_reads_the_segmentation_from_orthanc(orthanc: peers.Orthanc) -> None:
    film = everything(films.dx(rows=63, columns=47))
    result = composed(segmentation.SEGMENTATION, [film])
    _destination(orthanc).send(result.content)

    read = highdicom.seg.segread(BytesIO(orthanc.file(result.identity.sop_instance_uid)))

    assert read.segmentation_type is highdicom.seg.SegmentationTypeValues.BINARY
    assert read.segmented_property_types[1].meaning == "Heart"
    source = film.reading.film.sop_instance_uid
    pixels = read.get_pixels_by_source_instance([source])
    assert pixels.shape == (1, 63, 47, 5)
    assert np.array_equal(pixels[0, :, :, 1], dcmread(BytesIO(result.content)).pixel_array[1])
