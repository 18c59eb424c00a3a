"""Retrieve transaction (WADO-RS, PS3.18 section 10.4): instances as stored, metadata, frames and bulk data."""

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.dicomweb.holdings import Holdings, archived
from cxr_node.dicomweb.json_model import (
    OCTET_STREAM,
    Json,
    JsonContext,
    NoSuchPart,
    Wanted,
    bulk_data,
    frames,
    metadata,
)
from cxr_node.domain.errors import GiveUp, ProcessDied
from cxr_node.net.http_exchange import Exchange, RequestRejected
from cxr_node.net.multipart import MediaType
from cxr_node.queries import held_instances
from cxr_node.queries.held_instances import HeldInstance, Matching

T = TypeVar("T")

DICOM, JSON = "application/dicom", "application/dicom+json"
MOST = 10_000
"""Most instances of a study or series in a response."""
_MOST_FRAMES = 1000
_AT_A_TIME = 4
"""Responses with objects in memory, one each."""
_WAIT_S = 20.0
"""Longest wait of a request for those before it."""
_RETRY_AFTER_S = 5
_FRAME_DIGITS = 9
_TAG = re.compile(r"[0-9A-Fa-f]{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Responds to retrieve requests for instances."""

    holdings: Holdings
    places: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_AT_A_TIME))
    wait_s: float = _WAIT_S

    def instances(self, matching: Matching) -> list[HeldInstance]:
        """Return the instances of a request; raise RequestRejected if there are none."""
        with self.holdings.database.read() as connection:
            instances = held_instances.instances(connection, matching, limit=MOST)
        if not instances:
            raise RequestRejected(404, "the node holds no such instance")
        return instances

    def objects(self, exchange: Exchange, instances: Sequence[HeldInstance]) -> None:
        """Respond with the files of instances, each in the transfer syntax in which it is stored."""
        ranges = _accepted(exchange)
        is_single = len(instances) == 1 and DICOM in {media_type.name for media_type in ranges}
        if not is_single and not _accepts_parts(ranges, DICOM):
            raise RequestRejected(406, f'instances are given as multipart/related; type="{DICOM}"')
        with self._place():
            first = self._file(instances[0])
            if is_single:
                exchange.respond(200, first, headers={"Content-Type": DICOM})
                return
            contents = (first if number == 0 else self._file(instance) for number, instance in enumerate(instances))
            types = (f"{DICOM}; transfer-syntax={instance.transfer_syntax_uid}" for instance in instances)
            _respond_in_parts(exchange, DICOM, zip(types, contents, strict=True))

    def metadata(self, exchange: Exchange, instances: Sequence[HeldInstance], base_url: str) -> None:
        """Respond with the data sets of instances in the DICOM JSON Model, without bulk data."""
        if not {media_type.name for media_type in _accepted(exchange)} & {JSON, "application/json", "*/*"}:
            raise RequestRejected(406, f"metadata is {JSON}")
        first = self._metadata(instances[0], base_url)

        def items() -> Iterator[bytes]:
            yield b"[" + first
            for instance in instances[1:]:
                yield b"," + self._metadata(instance, base_url)
            yield b"]"

        exchange.respond(200, items(), headers={"Content-Type": JSON})

    def frames(self, exchange: Exchange, instance: HeldInstance, numbers: str) -> None:
        """Respond with frames of an image, by a list of numbers from 1, as they are encoded."""
        listed = numbers.split(",")
        if not all(text.isascii() and text.isdigit() and len(text) <= _FRAME_DIGITS for text in listed):
            raise RequestRejected(400, "the path has no valid list of frames")
        if len(listed) > _MOST_FRAMES:
            raise RequestRejected(413, f"more than {_MOST_FRAMES} frames")
        ranges = _accepted(exchange)
        with self._place():
            wanted = Wanted(archived(instance), frames=tuple(map(int, listed)))
            encoded = self._run(frames, wanted)
            syntax = encoded.transfer_syntax_uid
            if not any(_accepts_parts(ranges, kind, syntax) for kind in (encoded.media_type, OCTET_STREAM)):
                raise RequestRejected(
                    406, f"frames of this instance are {encoded.media_type}; transfer-syntax={syntax}"
                )
            kind = f"{encoded.media_type}; transfer-syntax={syntax}"
            _respond_in_parts(exchange, encoded.media_type, ((kind, content) for content in encoded.contents))

    def bulk_data(self, exchange: Exchange, instance: HeldInstance, tag: str) -> None:
        """Respond with the value of an element, by its tag in eight hexadecimal digits."""
        if not _TAG.fullmatch(tag):
            raise RequestRejected(400, "the path has no valid tag")
        wanted = Wanted(archived(instance), tag=int(tag, 16))
        with self._place():
            content = self._run(bulk_data, wanted)
            ranges = _accepted(exchange)
            if OCTET_STREAM in {media_type.name for media_type in ranges}:
                exchange.respond(200, content, headers={"Content-Type": OCTET_STREAM})
                return
            _respond_in_parts(exchange, OCTET_STREAM, [(OCTET_STREAM, content)])

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Hold one of the places of responses with an object in memory; raise RequestRejected if none becomes free."""
        if not self.places.acquire(timeout=self.wait_s):
            raise RequestRejected(
                503, "too many objects are given at a time", headers={"Retry-After": str(_RETRY_AFTER_S)}
            )
        try:
            yield
        finally:
            self.places.release()

    def _run(self, function: Callable[[JsonContext, Wanted], T | NoSuchPart], wanted: Wanted) -> T:
        """Return what a function of `json_model` returns of an object; raise RequestRejected if it has no such part."""
        try:
            (part,) = self.holdings.executor.map(function, [wanted])
        except (GiveUp, ProcessDied) as error:
            raise _unusable(error) from error
        if isinstance(part, NoSuchPart):
            raise RequestRejected(404, part.detail)
        return part

    def _file(self, instance: HeldInstance) -> bytes:
        try:
            return read_intact(self.holdings.archive, instance)
        except Damaged as error:
            raise _unusable(error) from error

    def _metadata(self, instance: HeldInstance, base_url: str) -> bytes:
        try:
            (document,) = self.holdings.executor.map(metadata, [archived(instance)])
        except (GiveUp, ProcessDied) as error:
            raise _unusable(error) from error
        return json.dumps({tag: _located(element, instance, base_url) for tag, element in document.items()}).encode()


def _located(element: Json, instance: HeldInstance, base_url: str) -> Json:
    """Return an element with the whole URI of its bulk data."""
    if "BulkDataURI" not in element:
        return element
    series = f"studies/{instance.study_instance_uid}/series/{instance.series_instance_uid}"
    uri = f"{base_url}/{series}/instances/{instance.sop_instance_uid}/{element['BulkDataURI']}"
    return {**element, "BulkDataURI": uri}


def _unusable(error: Exception) -> RequestRejected:
    detail = error.detail if isinstance(error, GiveUp) else "it cannot be parsed within the limits"
    return RequestRejected(500, f"the instance cannot be given: {detail}")


def _accepted(exchange: Exchange) -> list[MediaType]:
    """Return the media ranges of a request; */* where it has none."""
    text = exchange.header("accept") or dict(exchange.query()).get("accept", "*/*")
    return [MediaType(field) for field in _split(text)]


def _split(text: str) -> Iterator[str]:
    """Yield the parts between commas outside quotes."""
    part, is_quoted = "", False
    for sign in text:
        is_quoted ^= sign == '"'
        if sign == "," and not is_quoted:
            yield part.strip()
            part = ""
        else:
            part += sign
    yield part.strip()


def _accepts_parts(ranges: Iterable[MediaType], media_type: str, transfer_syntax_uid: str = "") -> bool:
    """Whether a multipart response of this type, and in this transfer syntax, is accepted."""
    for accepted in ranges:
        kind = accepted.parameters.get("type", media_type).lower()
        syntax = accepted.parameters.get("transfer-syntax", "*")
        is_type = accepted.name in ("multipart/related", "*/*", "multipart/*", media_type)
        if (
            is_type
            and kind in (media_type, "*/*")
            and (not transfer_syntax_uid or syntax in ("*", transfer_syntax_uid))
        ):
            return True
    return False


def _respond_in_parts(exchange: Exchange, media_type: str, parts: Iterable[tuple[str, bytes]]) -> None:
    """Respond with parts, each its Content-Type and its bytes, as they are read."""
    boundary = uuid.uuid4().hex

    def blocks() -> Iterator[bytes]:
        for content_type, content in parts:
            yield f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode()
            yield content
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    field = f'multipart/related; type="{media_type}"; boundary={boundary}'
    exchange.respond(200, blocks(), headers={"Content-Type": field})
