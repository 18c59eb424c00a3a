"""Simulated modality of DICOMweb: stores films by STOW-RS, in one request."""

import uuid
from collections.abc import Sequence
from io import BytesIO

from pydicom.dataset import Dataset

from cxr_node.deliver.store_response import parse_store_response
from cxr_node.net.http_client import HttpError, HttpServer

_DELIMITED = "--{}\r\nContent-Type: application/dicom\r\n\r\n"


def store(films: Sequence[Dataset], *, url: str, token: str, timeout_s: float = 10.0) -> dict[str, int]:
    """Store films; return the verdict on each by SOP Instance UID: 0, or a Failure Reason.

    Without a whole response the result is empty.
    """
    boundary = uuid.uuid4().hex
    body = [part for film in films for part in (_DELIMITED.format(boundary).encode(), _encoded(film), b"\r\n")]
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/dicom+json",
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
    }
    try:
        server = HttpServer(url=url, timeout_s=timeout_s)
        response = server.send("POST", "/studies", headers, [*body, f"--{boundary}--\r\n".encode()])
    except HttpError:
        return {}
    module = parse_store_response(response.body, response.content_type)
    if module is None:
        return {}
    verdicts = {str(film.SOPInstanceUID): module.verdict(film.SOPInstanceUID) for film in films}
    return {uid: 0 if verdict.is_stored else verdict.reason for uid, verdict in verdicts.items() if verdict is not None}


def _encoded(film: Dataset) -> bytes:
    out = BytesIO()
    film.save_as(out, enforce_file_format=True)
    return out.getvalue()
