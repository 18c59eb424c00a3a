"""Result type: SOP Class, modality, series and promised attributes of one kind of result object."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import Uid
from cxr_node.report.source import ReportedFilm

ContentRule = Callable[[Dataset, Sequence[ReportedFilm]], Iterator[str]]
"""Yields a sentence for each fault of a document's content tree; the films have safe headers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultType:
    """Objects of one kind: what they are, which series they form, and what `check` requires of them.

    Parameters
    ----------
    name
        Name in result rows and part of the results' UIDs: it never changes.
    series_offset
        Added to the node's first Series Number.
    type_1, type_2
        Keywords of attributes that have a value, or are present and may be empty, besides those of `check`.
    flags
        Keywords to fixed values.
    content_rules
        Rules for the content tree of a document.
    referred_as
        Name of the report's reference to a result; None of the report itself in any form.
    """

    name: str
    sop_class_uid: Uid
    modality: str
    series_offset: int
    series_description: str
    type_1: tuple[str, ...]
    type_2: tuple[str, ...]
    flags: Mapping[str, str] = field(default_factory=dict)
    content_rules: tuple[ContentRule, ...] = ()
    referred_as: Code | None = None

    @property
    def is_image(self) -> bool:
        """Whether objects of this type have pixels."""
        return "PixelData" in self.type_1
