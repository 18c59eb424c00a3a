"""Simulated archive that is searched: C-FIND of the Study Root model and C-GET, failing in a chosen way."""

import threading
from collections.abc import Iterator
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE, evt

from cxr_node.domain.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET
from cxr_node.simulators.scp import SimulatedScp

_PENDING, _SUCCESS, _FAILURE = 0xFF00, 0x0000, 0xC001
_SILENCE_S = 3.0
"""By then a client has given up."""
_DELAY_S = 1.5
_KEYS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_FILM_CLASSES = ("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1")


class Mode(StrEnum):
    """What the archive does with requests."""

    RIGHT = "right"
    SILENT = "no response to a query"
    SLOW = "each response late"
    FAILS = "fails queries"
    MATCHES_NOTHING = "offers every film, whatever was asked"
    SENDS_NOTHING = "Success without a film"
    SENDS_ANOTHER = "another patient's film under the UIDs asked for"
    ABORTS = "aborts at a retrieval"


class SimulatedArchive(SimulatedScp):
    """Films by `films`, which may change at any time, as may `mode`. `sent` counts films that were sent."""

    def __init__(self, *, port: int = 0) -> None:
        super().__init__("ARCHIVE", port=port)
        self.films: list[Dataset] = []
        self.mode = Mode.RIGHT
        self.sent = 0

    def _configure(self, entity: AE) -> list[evt.EventHandlerType]:
        for model in (STUDY_ROOT_FIND, STUDY_ROOT_GET):
            entity.add_supported_context(UID(model))
        for uid in _FILM_CLASSES:
            entity.add_supported_context(UID(uid), ExplicitVRLittleEndian, scu_role=True, scp_role=True)
        return [(evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get)]

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        mode, identifier = self.mode, event.identifier
        if mode is Mode.SILENT:
            threading.Event().wait(_SILENCE_S)
        if mode in (Mode.SILENT, Mode.FAILS):
            yield _FAILURE, None
            return
        for film in list(self.films):
            if mode is Mode.SLOW:
                threading.Event().wait(_DELAY_S)
            if mode is Mode.MATCHES_NOTHING or _matches(film, identifier):
                yield _PENDING, _response(film, identifier)

    def _get(self, event: evt.Event) -> Iterator[int | tuple[int, Dataset | None]]:
        mode, identifier = self.mode, event.identifier
        if mode is Mode.ABORTS:
            event.assoc.abort()
            threading.Event().wait(_SILENCE_S)
        wanted = [film for film in self.films if _matches(film, identifier)]
        if mode in (Mode.SENDS_NOTHING, Mode.ABORTS):
            wanted = []
        yield len(wanted)
        for film in wanted:
            self.sent += 1
            yield _PENDING, self._another(film) if mode is Mode.SENDS_ANOTHER else film

    def _another(self, film: Dataset) -> Dataset:
        other = Dataset()
        other.file_meta = film.file_meta
        other.update(film)
        other.PatientID = "SOMEBODY"
        return other


def _matches(film: Dataset, identifier: Dataset) -> bool:
    return all(str(identifier.get(keyword) or film.get(keyword)) == str(film.get(keyword)) for keyword in _KEYS)


def _response(film: Dataset, identifier: Dataset) -> Dataset:
    """Return the keys that are asked for, as the film has them."""
    response = Dataset()
    response.QueryRetrieveLevel = identifier.QueryRetrieveLevel
    for element in identifier:
        if element.keyword == "ModalitiesInStudy":
            response.ModalitiesInStudy = film.Modality
        elif element.keyword in film:
            response[element.tag] = film[element.tag]
    for keyword in _KEYS:
        setattr(response, keyword, film[keyword].value)
    return response
