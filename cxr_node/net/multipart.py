"""Multipart bodies as they arrive: parts and their bytes, with bounds on everything but the bytes of a part.

RFC 2046 section 5.1.1, as PS3.18 section 8.6.1.2 uses it. The delimiter is looked for in each block that is read;
memory holds one block, and never a part.
"""

from collections.abc import Iterable, Iterator, Mapping
from email.errors import MessageError
from email.message import Message
from email.utils import collapse_rfc2231_value

HEADER_BYTES = 8192
"""Longest header of a part, with all its fields."""
_MAXIMUM_PADDING_BYTES = 256
_BOUNDARY_CHARACTERS = 200
"""RFC 2046 allows 70. Orthanc's DICOMweb plug-in sends more."""
_PADDING = b" \t"
_LINE_END, _HEADER_END = b"\r\n", b"\r\n\r\n"


class MultipartError(ValueError):
    """The body is no multipart body, or ends before its closing delimiter. The message quotes nothing of it."""


class MediaType:
    """A media type of a Content-Type field (RFC 9110 section 8.3.1), in lower case, and its parameters."""

    def __init__(self, field: str) -> None:
        message = Message()
        try:
            message["Content-Type"] = field
            self.name = message.get_content_type() if "/" in field else ""
            parameters = message.get_params(failobj=[]) if self.name else []
        except (MessageError, ValueError, LookupError):  # a line end, or an encoding that does not exist
            self.name, parameters = "", []
        self.parameters: Mapping[str, str] = {key.lower(): collapse_rfc2231_value(value) for key, value in parameters}


def boundary_of(media_type: MediaType) -> bytes:
    """Return the boundary of a multipart media type; raise MultipartError if it is absent or none."""
    boundary = media_type.parameters.get("boundary", "").rstrip()
    if not boundary or len(boundary) > _BOUNDARY_CHARACTERS or not (boundary.isascii() and boundary.isprintable()):
        raise MultipartError("the Content-Type has no valid boundary")
    return boundary.encode("ascii")


class Part:
    """A part: the fields of its header by lower-case name, and its bytes, which can be read once."""

    def __init__(self, fields: Mapping[str, str], content: Iterator[bytes]) -> None:
        self.fields = fields
        self.content = content


class MultipartReader:
    """Reads the parts of a body from its blocks, one after the other.

    A part that is not read to its end is skipped when the next is asked for.
    """

    def __init__(self, blocks: Iterable[bytes], boundary: bytes) -> None:
        self._blocks = iter(blocks)
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter needs no line end before it.
        self._buffer = bytearray(_LINE_END)

    def parts(self) -> Iterator[Part]:
        """Yield each part.

        Raises
        ------
        MultipartError
            If there is no delimiter, a part's header is too long or is none, or the body ends before its closing
            delimiter. The part that is being read then raises it too.
        """
        for _ in self._until_delimiter():  # the preamble
            pass
        while not self._is_closing():
            content = self._until_delimiter()
            yield Part(self._fields(), content)
            for _ in content:
                pass
        for _ in self._blocks:  # the epilogue
            pass

    def _until_delimiter(self) -> Iterator[bytes]:
        """Yield bytes up to the next delimiter, and take that from the buffer."""
        while True:
            position = self._buffer.find(self._delimiter)
            # Without a delimiter, its beginning may be at the end of what was read.
            end = position if position >= 0 else len(self._buffer) - len(self._delimiter) + 1
            if end > 0:
                yield bytes(memoryview(self._buffer)[:end])
                del self._buffer[:end]
            if position >= 0:
                del self._buffer[: len(self._delimiter)]
                return
            self._read_more()

    def _is_closing(self) -> bool:
        """Whether the delimiter that was taken is the last; else take its padding, but not its line end."""
        while len(self._buffer) < len(_LINE_END):
            self._read_more()
        if self._buffer.startswith(b"--"):
            return True
        while (end := self._buffer.find(_LINE_END)) < 0:
            if len(self._buffer) > _MAXIMUM_PADDING_BYTES:
                break
            self._read_more()
        if end < 0 or self._buffer[:end].strip(_PADDING):
            raise MultipartError("a line begins as the boundary does, and is none")
        del self._buffer[:end]
        return False

    def _fields(self) -> Mapping[str, str]:
        while (end := self._buffer.find(_HEADER_END)) < 0 and len(self._buffer) <= HEADER_BYTES:
            self._read_more()
        if not 0 <= end <= HEADER_BYTES:
            raise MultipartError(f"the header of a part is longer than {HEADER_BYTES} bytes")
        lines = bytes(self._buffer[len(_LINE_END) : end]).decode("latin-1")
        del self._buffer[: end + len(_LINE_END)]
        # The line end that is left belongs to the delimiter of a part without bytes, else to the header.
        while len(self._buffer) < len(self._delimiter):
            self._read_more()
        if not self._buffer.startswith(self._delimiter):
            del self._buffer[: len(_LINE_END)]
        return _parsed(lines)

    def _read_more(self) -> None:
        for block in self._blocks:
            if block:
                self._buffer += block
                return
        raise MultipartError("the body ends before its closing delimiter")


def _parsed(lines: str) -> Mapping[str, str]:
    """Return the fields of a header; a line that begins with a blank continues the one before it."""
    fields: dict[str, str] = {}
    for line in lines.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n"):
        name, colon, value = line.partition(":")
        if line and not colon:
            raise MultipartError("a line of a part's header is no field")
        fields.setdefault(name.strip().lower(), value.strip())
    fields.pop("", None)
    return fields
