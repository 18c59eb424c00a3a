"""Verification by a DICOMweb server that it has an instance: QIDO-RS, WADO-RS metadata, or retrieval (PS3.18)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cxr_node.deliver import web_outcome
from cxr_node.domain.commitment import CommitmentResult, FailureReason, Reference
from cxr_node.domain.element_values import transfer_syntax_and_data_set
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Digest, Uid, digest_of
from cxr_node.domain.instance import Identity
from cxr_node.net.http_authorization import AuthorizedServer
from cxr_node.net.http_client import Response, first_part

MAX_RESPONSE_BYTES = 1 << 28
"""A retrieved picture is the largest response."""

_JSON = "application/dicom+json"
_NO_CONTENT, _ABSENT = 204, (204, 404, 410)
_SOP_INSTANCE_UID = "00080018"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebVerifier:
    """Requests one instance `by` a query, its metadata, or the instance itself, whose data set is compared."""

    server: AuthorizedServer
    by: Literal["find", "metadata", "retrieve"]

    def verify(self, transaction_uid: Uid, identity: Identity, *, digest: Digest) -> CommitmentResult | None:
        """Send one request; see `DeliveryVerifier.verify`. The result is immediate."""
        failure = self._by_retrieval(identity, digest) if self.by == "retrieve" else self._by_json(identity)
        reference = Reference(sop_class_uid=identity.sop_class_uid, sop_instance_uid=identity.sop_instance_uid)
        if failure is None:
            return CommitmentResult(transaction_uid=transaction_uid, committed=(reference,))
        return CommitmentResult(transaction_uid=transaction_uid, committed=(), failed=((reference, failure),))

    def _by_json(self, identity: Identity) -> FailureReason | None:
        path = f"/instances?SOPInstanceUID={identity.sop_instance_uid}&limit=1"
        if self.by == "metadata":
            path = f"{_path_of(identity)}/metadata"
        # A search without a match is answered 200 or 204: 404 says that the server does not search there.
        response = self._get(path, _JSON, absent=_ABSENT if self.by == "metadata" else (_NO_CONTENT,))
        is_found = response is not None and identity.sop_instance_uid in self._uids(response)
        return None if is_found else FailureReason.NO_SUCH_OBJECT_INSTANCE

    def _by_retrieval(self, identity: Identity, digest: Digest) -> FailureReason | None:
        response = self._get(
            _path_of(identity), 'multipart/related; type="application/dicom"; transfer-syntax=*', absent=_ABSENT
        )
        if response is None:
            return FailureReason.NO_SUCH_OBJECT_INSTANCE
        try:
            _, data_set = transfer_syntax_and_data_set(first_part(response))
        except ValueError:
            raise RetryLater(f"{self.server} answered a retrieval with something else than an instance") from None
        return None if digest_of(data_set) == digest else FailureReason.CLASS_INSTANCE_CONFLICT

    def _get(self, path: str, accept: str, *, absent: tuple[int, ...]) -> Response | None:
        """Return the response to GET; None if its status, one of `absent`, says that there is no such instance."""
        response = web_outcome.send(self.server, "GET", path, {"Accept": accept})
        if response.status in absent:
            return None
        if response.status in _ABSENT:  # not unreachable: it stores
            raise RetryLater(f"{self.server} answered the verification with HTTP status {response.status}")
        if not response.is_success:
            web_outcome.raise_for_status(response, f"{self.server} answered the verification")
        return response

    def _uids(self, response: Response) -> frozenset[str]:
        try:
            return frozenset(_sop_instance_uids(json.loads(response.body)))
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise RetryLater(f"{self.server} answered the verification with no data set in JSON") from None


def _path_of(identity: Identity) -> str:
    series = f"/studies/{identity.study_instance_uid}/series/{identity.series_instance_uid}"
    return f"{series}/instances/{identity.sop_instance_uid}"


def _sop_instance_uids(document: Any) -> Iterator[str]:
    for data_set in document:
        yield from map(str, data_set.get(_SOP_INSTANCE_UID, {}).get("Value", ()))
