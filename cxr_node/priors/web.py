"""Prior films by DICOMweb: QIDO-RS and WADO-RS (PS3.18 sections 10.6 and 10.4)."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from cxr_node.deliver.destination import Probe
from cxr_node.domain.element_values import transfer_syntax_and_data_set
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.instance import Instance, Sender
from cxr_node.domain.prior_search import Candidate, FilmNotSent, PriorQuery, SearchFailed
from cxr_node.net.http_authorization import AuthorizedServer
from cxr_node.net.http_client import HttpError, Response, first_part
from cxr_node.pixels import elements
from cxr_node.priors import selection
from cxr_node.priors.fetched import fetched_instance
from cxr_node.priors.identifiers import image_identifier, series_identifier, study_identifier
from cxr_node.priors.source import OnFetched, OnQuery

_JSON = "application/dicom+json"
_FILE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_NO_CONTENT = 204
_NOT_SENT = frozenset({404, 406, 410})
_MAXIMUM_ANSWERS = 500
_MATCHED = frozenset({"PatientID", "IssuerOfPatientID", "StudyDate", "ModalitiesInStudy"})
_IN_PATH = frozenset({"QueryRetrieveLevel", "StudyInstanceUID", "SeriesInstanceUID"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSource:
    """A DICOMweb server that is searched by QIDO-RS, and sends films by WADO-RS."""

    name: str
    server: AuthorizedServer
    sender: Sender
    on_query: OnQuery = field(default=lambda _identifier, _failure: None)
    on_fetched: OnFetched = field(default=lambda _instance: None)

    def candidates(self, query: PriorQuery, *, until: float) -> list[Candidate]:
        """Search studies, series and instances; see `PriorSource.candidates`."""
        offered: list[Candidate] = []
        for study in selection.earlier_studies(self._studies(query, until), query):
            study_uid = elements.text(study, "StudyInstanceUID")
            path = f"/studies/{study_uid}/series"
            for series in self._search(path, series_identifier(study_uid), until):
                if selection.may_have_chest(study, series):
                    uid = elements.text(series, "SeriesInstanceUID")
                    images = self._search(f"{path}/{uid}/instances", image_identifier(study_uid, uid), until)
                    offered += selection.candidates(query, study, series, images)
            if len(offered) >= selection.MAXIMUM_CANDIDATES:
                break
        return selection.newest_first(offered)

    def fetch(self, candidate: Candidate, *, until: float) -> Instance:
        """Retrieve the instance in the transfer syntax that the server has; see `PriorSource.fetch`."""
        study = f"/studies/{candidate.study_instance_uid}/series/{candidate.series_instance_uid}"
        response = self._get(f"{study}/instances/{candidate.sop_instance_uid}", _FILE, until)
        message = f"{self.server} answered WADO-RS with HTTP status {response.status}"
        if not response.is_success:
            raise (FilmNotSent if response.status in _NOT_SENT else SearchFailed)(message)
        try:
            syntax, data_set = transfer_syntax_and_data_set(first_part(response))
            instance = fetched_instance(data_set, syntax, self.sender)
        except (ValueError, RejectObject):
            raise FilmNotSent(f"{message}, and with something else than an instance") from None
        self.on_fetched(instance)
        return instance

    def probe(self) -> Probe:
        """Search for a study that does not exist; see `PriorSourceKind.probe`."""
        next_step = "check that it runs and that url, auth and the TLS files are right; no film comes until then"
        try:
            response = self._get("/studies?StudyInstanceUID=2.25.0&limit=1", _JSON, time.monotonic() + 30)
        except SearchFailed as error:
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        message = f"{self.server} answers a query of studies with HTTP status {response.status}"
        return Probe(message=message, is_usable=response.is_success, next_step="" if response.is_success else next_step)

    def _studies(self, query: PriorQuery, until: float) -> Iterator[Dataset]:
        for modality in selection.MODALITIES:
            yield from self._search("/studies", study_identifier(query, modality), until)

    def _search(self, path: str, identifier: Dataset, until: float) -> list[Dataset]:
        encoded = encode(identifier, is_implicit_vr=False, is_little_endian=True) or b""
        try:
            answers = self._answers(f"{path}?{_query_text(identifier)}", until)
        except SearchFailed as error:
            self.on_query(encoded, str(error))
            raise
        self.on_query(encoded, "")
        return answers

    def _answers(self, path: str, until: float) -> list[Dataset]:
        response = self._get(path, _JSON, until)
        if response.status == _NO_CONTENT:
            return []
        message = f"{self.server} answered QIDO-RS with HTTP status {response.status}"
        if not response.is_success:
            raise SearchFailed(message)
        try:
            return [_data_set(answer) for answer in json.loads(response.body)]
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise SearchFailed(f"{message}, and with no data sets in JSON") from None

    def _get(self, path: str, accept: str, until: float) -> Response:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise SearchFailed(f"{self.server} was not asked in time")
        server = replace(self.server.server, timeout_s=min(self.server.server.timeout_s, left_s))
        try:
            return replace(self.server, server=server).send("GET", path, {"Accept": accept})
        except HttpError as error:
            raise SearchFailed(str(error)) from error


def web_sender(host: str, called_ae_title: AeTitle) -> Sender:
    """Return the sender in the File Meta Information of a film that came by WADO-RS."""
    return Sender(calling_ae_title=AeTitle("DICOMWEB"), called_ae_title=called_ae_title, address=host)


def _query_text(identifier: Dataset) -> str:
    """Return the query of a URL: keys with a value, and the others to be included in the answer."""
    parts = []
    for element in identifier:
        if element.keyword in _IN_PATH:
            continue
        if element.value and element.keyword in _MATCHED:
            parts.append(f"{element.keyword}={quote(str(element.value))}")
        else:
            parts.append(f"includefield={element.keyword}")
    return "&".join([*parts, f"limit={_MAXIMUM_ANSWERS}"])


def _data_set(answer: Mapping[str, Mapping[str, Any]]) -> Dataset:
    """Return the attributes of an answer that are asked for; values are not checked, as those of C-FIND are not."""
    data_set = Dataset()
    for keyword in (*selection.STUDY_KEYS, *selection.SERIES_KEYS, *selection.IMAGE_KEYS):
        tag = tag_for_keyword(keyword) or 0
        values: Sequence[object] = answer.get(f"{tag:08X}", {}).get("Value", ())
        text = [str(value) for value in values if isinstance(value, str | int)]
        if text:
            vr = dictionary_VR(tag)
            data_set[tag] = DataElement(tag, vr, "\\".join(text), validation_mode=config.IGNORE)
    return data_set
