"""Who may send what: pure decisions on AE titles and SOP classes."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum

from cxr_node.domain.identifiers import AeTitle, Uid, parse_ae_title

STORAGE_SOP_CLASSES = (
    Uid("1.2.840.10008.5.1.4.1.1.1"),  # Computed Radiography Image
    Uid("1.2.840.10008.5.1.4.1.1.1.1"),  # Digital X-Ray Image, For Presentation
    Uid("1.2.840.10008.5.1.4.1.1.1.1.1"),  # Digital X-Ray Image, For Processing
    Uid("1.2.840.10008.5.1.4.1.1.7"),  # Secondary Capture Image
    Uid("1.2.840.10008.5.1.4.1.1.7.2"),  # Multi-frame Grayscale Byte Secondary Capture Image
    Uid("1.2.840.10008.5.1.4.1.1.7.3"),  # Multi-frame Grayscale Word Secondary Capture Image
)
"""What a chest film can come as. Every class offered is copied once per association: only these are."""


class Rejection(Enum):
    """An A-ASSOCIATE-RJ: result, source and reason (PS3.8 table 9-21)."""

    CALLING_AE_TITLE_NOT_RECOGNIZED = (1, 1, 3)
    CALLED_AE_TITLE_NOT_RECOGNIZED = (1, 1, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who may open an association. No `calling_ae_titles` admits every sender that gives a valid one."""

    ae_title: AeTitle
    require_called_ae_title: bool = True
    calling_ae_titles: AbstractSet[AeTitle] = field(default=frozenset())

    def rejection(self, *, calling_ae_title: str, called_ae_title: str) -> Rejection | None:
        """Return why a peer with these titles, as it sent them, is turned away; None if it is not."""
        calling = _parsed(calling_ae_title)
        if calling is None or (self.calling_ae_titles and calling not in self.calling_ae_titles):
            return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
        called = _parsed(called_ae_title)
        if called is None or (self.require_called_ae_title and called != self.ae_title):
            return Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED
        return None


def _parsed(title: str) -> AeTitle | None:
    try:
        return parse_ae_title(title)
    except ValueError:
        return None
