"""What a trial states about one file."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from cxr_node.domain.reading import Presence, Reading
from cxr_node.domain.reasons import Reason, note_meaning


class Answer(StrEnum):
    """What the node would do with a file."""

    READ = "read"
    NOT_ANALYSED = "not analysed"
    """Stored, and answered by a report with the reason."""
    REPEATED = "repeated"
    """The same film as another file: Success, and no second reading."""
    REJECTED = "rejected"
    """No presentation context, or a failure status."""
    NO_FILM = "no film"
    """No file that a modality could send."""
    FAILED = "failed"
    """The node could not read it now, or has a fault."""


class Obstacle(StrEnum):
    """Reason why a file does not become a film of the node. `meaning` is for people."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        return member

    NOT_DICOM = "NOTDICOM", "Not a DICOM file"
    UNREADABLE = "UNREADABLE", "File cannot be opened"
    ARCHIVE = "ARCHIVE", "Zip archive, or file in it, cannot be read"
    NAME = "NAME", "Name leads out of its folder"
    MISSING = "MISSING", "Named by a DICOMDIR, but not there"
    DICOMDIR = "DICOMDIR", "List of other files"
    OBJECT_SIZE = "OBJECTSIZE", "Larger than receive.maximum_object_bytes"
    SOP_CLASS = "SOPCLASS", "SOP Class that the node does not accept"
    TRANSFER_SYNTAX = "TRANSFERSYNTAX", "Transfer syntax that the node does not accept"
    DATA_SET = "DATASET", "Data set that the node cannot understand"
    NOT_NOW = "NOTNOW", "Cannot be read now"
    FAULT = "FAULT", "Fault of the node"


class NotAdmitted(Exception):
    """The file does not become a film of the node."""

    def __init__(self, answer: Answer, reason: Obstacle, detail: str) -> None:
        super().__init__(f"{reason.meaning}: {detail}")
        self.answer = answer
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Device and encoding of a file, as its header states them; empty where unknown."""

    manufacturer: str = ""
    model: str = ""
    sop_class: str = ""
    transfer_syntax: str = ""

    @property
    def device(self) -> str:
        """Manufacturer and model."""
        return " ".join(part for part in (self.manufacturer, self.model) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFinding:
    """A finding; the names are those of the columns of v1_findings."""

    key: str
    code_meaning: str
    laterality: str
    score: float
    operating_point: float
    presence: Presence


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One file, and what became of it.

    `seconds` is the time of reading, without the picture. `picture` is a JPEG of the film as it hangs. `outlines` are
    SVG paths of its findings, on a picture of `shown_size` (columns, rows).
    """

    file: str
    answer: Answer
    reason: Reason | Obstacle | None = None
    detail: str = ""
    view: str = ""
    findings: tuple[TrialFinding, ...] = ()
    notes: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)
    models: tuple[str, ...] = ()
    columns: int = 0
    rows: int = 0
    seconds: float = 0.0
    picture: Path | None = None
    outlines: tuple[str, ...] = ()
    shown_size: tuple[int, int] = (0, 0)

    @property
    def why(self) -> str:
        """The reason with its detail, for people; empty for a film that was read."""
        meaning = self.reason.meaning if self.reason is not None else ""
        return f"{meaning}: {self.detail}" if meaning and self.detail else meaning or self.detail

    def plain(self) -> dict[str, Any]:
        """Return the row for a program, without the picture."""
        return {
            "file": self.file,
            "answer": self.answer.value,
            "reason": "" if self.reason is None else self.reason.value,
            "meaning": "" if self.reason is None else self.reason.meaning,
            "detail": self.detail,
            "view": self.view,
            "findings": [asdict(finding) for finding in self.findings],
            "notes": list(self.notes),
            **asdict(self.origin),
            "models": list(self.models),
            "columns": self.columns,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
        }


def not_admitted(file: str, error: NotAdmitted, origin: Origin) -> Row:
    """Return the row of a file that does not become a film."""
    return Row(file=file, answer=error.answer, reason=error.reason, detail=error.detail, origin=origin)


def row_of(file: str, reading: Reading, origin: Origin, *, seconds: float) -> Row:
    """Return the row of a film with a reading."""
    geometry, prediction = reading.geometry, reading.prediction
    return Row(
        file=file,
        answer=Answer.READ if reading.not_analysed is None else Answer.NOT_ANALYSED,
        reason=reading.not_analysed,
        detail=reading.detail,
        view="" if geometry is None else geometry.view.value,
        findings=tuple(
            TrialFinding(
                key=finding.key,
                code_meaning=finding.code.meaning,
                laterality=finding.laterality or "",
                score=finding.score,
                operating_point=finding.operating_point,
                presence=finding.presence,
            )
            for finding in (prediction.findings if prediction else ())
        ),
        notes=tuple(note_meaning(note) for note in reading.notes),
        origin=origin,
        models=tuple(f"{model.name} {model.version}" for model in (prediction.models if prediction else ())),
        columns=geometry.columns if geometry else 0,
        rows=geometry.rows if geometry else 0,
        seconds=seconds,
    )
