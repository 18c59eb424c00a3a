"""Where results go. The seam: a new kind of destination is one class with `name` and `send`."""

from dataclasses import dataclass
from typing import Protocol

from cxr_node.domain.errors import RetryLater


class DestinationUnreachable(RetryLater):
    """No association came about: nothing was said about the object, and others would fare no better."""


class DeliveryRejected(Exception):
    """The destination will not take this object, however often it is sent: a person must look.

    `status` is the C-STORE status where there was one.
    """

    def __init__(self, sentence: str, *, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the destination said when it took the object: a status, and a sentence that may be empty."""

    status: int
    comment: str = ""


class Destination(Protocol):
    """A place that takes DICOM objects, one call per object. Sending twice leaves one object there."""

    @property
    def name(self) -> str:
        """The name in the configuration, in delivery rows and in logs."""
        ...

    def send(self, content: bytes) -> Receipt:
        """Hand over the DICOM file `content` (PS3.10 section 7); its data set arrives as it is.

        Raises
        ------
        RetryLater
            Nothing is known to have arrived; the same call may succeed later.
        Refused
            The object was turned away for good.
        """
        ...
