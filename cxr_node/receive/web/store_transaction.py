"""Store transaction of DICOMweb (PS3.18 section 10.5): each part is stored as the object of a C-STORE request is.

The response is sent when every part has its verdict: bytes and rows of those it names as stored are durable.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Received, Sender, StagedObject
from cxr_node.net.http_exchange import BodyIncomplete, Exchange, RequestRejected
from cxr_node.net.multipart import MediaType, MultipartError, MultipartReader, Part, boundary_of
from cxr_node.receive.admission import AdmissionPolicy
from cxr_node.receive.store_scp import StoreScp
from cxr_node.receive.web.incoming_part import MEDIA_TYPE, IncomingPart, PartRules
from cxr_node.receive.web.store_response import MEDIA_TYPE as JSON
from cxr_node.receive.web.store_response import UNAVAILABLE, Verdict, http_status, response_module

RETRY_AFTER_S = 60
_ACCEPTED = frozenset({JSON, "application/json", "application/*", "*/*", ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """Limits of a request: bytes of all, of one object, and parts."""

    maximum_request_bytes: int
    maximum_object_bytes: int
    maximum_parts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTransaction:
    """Serves Store requests. `stage`, `has_space` and `store_scp` are those of C-STORE."""

    store_scp: StoreScp
    admission: AdmissionPolicy
    stage: Callable[[], StagedObject]
    has_space: Callable[[int], bool]
    limits: StoreLimits

    def serve(
        self, exchange: Exchange, sender: Sender, study_instance_uid: Uid | None, *, base_url: str
    ) -> RequestRejected | None:
        """Store what a request has and respond; the sender is admitted. Return why the rest of the body was not read.

        Raises
        ------
        RequestRejected
            If no part was read: the form of the request is wrong, it is too large, or there is no space.
        """
        boundary = _checked(exchange)
        if not self.has_space(0):
            raise RequestRejected(UNAVAILABLE, "no space for films now", headers=_RETRY)
        blocks = exchange.body(maximum_bytes=self.limits.maximum_request_bytes)
        rules = PartRules(
            sender=sender,
            stage=self.stage,
            has_space=lambda: self.has_space(0),
            maximum_object_bytes=self.limits.maximum_object_bytes,
            allows_sop_class=lambda uid: self.admission.allows_sop_class(sender, uid),
            study_instance_uid=study_instance_uid,
        )
        verdicts: list[Verdict] = []
        rejected: RequestRejected | None = None
        try:
            for part in MultipartReader(blocks, boundary).parts():
                if len(verdicts) == self.limits.maximum_parts:
                    raise RequestRejected(413, f"more than {self.limits.maximum_parts} parts")  # noqa: TRY301
                verdicts.append(self._verdict(part, rules))
        except MultipartError as error:
            rejected = BodyIncomplete(str(error))
        except RequestRejected as error:
            rejected = error
        self._respond(exchange, verdicts, rejected, base_url)
        return rejected

    def _verdict(self, part: Part, rules: PartRules) -> Verdict:
        """Store the object of a part. An error of the request, which ends within the part, is raised."""
        incoming = IncomingPart(rules)
        stored: list[Received] = []

        def finish() -> Received:
            stored.append(incoming.finish())
            return stored[0]

        try:
            incoming.receive(part)
            status, comment = self.store_scp.store(rules.sender, finish)
        finally:
            incoming.close()
        identity = stored[0].identity if stored else None
        return Verdict(
            status=status,
            comment=comment,
            uids=incoming.uids,
            study_instance_uid=identity.study_instance_uid if identity else None,
            series_instance_uid=identity.series_instance_uid if identity else None,
        )

    def _respond(
        self, exchange: Exchange, verdicts: list[Verdict], rejected: RequestRejected | None, base_url: str
    ) -> None:
        """Respond with the verdicts so far, also if the rest of the request could not be read."""
        status = http_status(verdicts) if rejected is None else rejected.status
        if not verdicts:
            raise rejected or RequestRejected(status, "the body has no part")
        headers = {"Content-Type": JSON, **(_RETRY if status == UNAVAILABLE else {})}
        exchange.respond(status, response_module(verdicts, base_url=base_url), headers=headers)


_RETRY = {"Retry-After": str(RETRY_AFTER_S)}


def _checked(exchange: Exchange) -> bytes:
    """Return the boundary of a request's body, or raise RequestRejected."""
    accepted = {field.partition(";")[0].strip().lower() for field in exchange.header("accept").split(",")}
    if not accepted & _ACCEPTED:
        raise RequestRejected(406, f"responses are {JSON}")
    media_type = MediaType(exchange.header("content-type"))
    kind = media_type.parameters.get("type", MEDIA_TYPE).lower()
    if media_type.name != "multipart/related" or kind != MEDIA_TYPE:
        raise RequestRejected(415, f'the body must be multipart/related; type="{MEDIA_TYPE}"')
    if exchange.header("content-encoding").lower() not in ("", "identity"):
        raise RequestRejected(415, "the body must have no Content-Encoding")
    try:
        return boundary_of(media_type)
    except MultipartError as error:
        raise RequestRejected(400, str(error)) from error
