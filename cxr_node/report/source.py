"""What a report is made from: the films with their readings, the node, and the report it replaces."""

from dataclasses import dataclass
from datetime import UTC, tzinfo

from pydicom.dataset import Dataset

from cxr_node.domain.identifiers import Uid, derive_uid
from cxr_node.domain.reading import Reading
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.translate import LANGUAGES


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Film:
    """One film of the study: its header as received (pixels may be missing), and what the node says about it.

    `character_sets` is Specific Character Set as the site knows it to be, for films that declare none or a wrong one.
    """

    header: Dataset
    reading: Reading
    character_sets: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """The device that observes: this node, as results name it.

    Name and serial number together make the device's UID, so two nodes of one site need two names.
    `time_zone` is what Content Time is written in where the source says nothing; see `document.py`.
    `language` is a name of `languages.spoken.LANGUAGES`; any other is a ValueError.
    """

    name: str = "CXRNODE"
    serial_number: str = "1"
    manufacturer: str = "cxr-node developers"
    model_name: str = "cxr-node"
    software_version: str = "0.1.0"
    first_series_number: int = 9001
    time_zone: tzinfo = UTC
    language: str = "en"

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ValueError(f"no language {self.language!r}; there are {', '.join(LANGUAGES)}")

    @property
    def speaks(self) -> Language:
        """The language of the results."""
        return LANGUAGES[self.language]

    @property
    def uid(self) -> Uid:
        """The Device Observer UID."""
        return derive_uid("device", self.name, self.serial_number)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousReport:
    """A report of the same study that the new one replaces (Predecessor Documents Sequence)."""

    sop_class_uid: Uid
    sop_instance_uid: Uid
    series_instance_uid: Uid
    study_instance_uid: Uid
