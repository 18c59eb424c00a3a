"""Counts of a trial by answer and reason, by device and by transfer syntax, and times of reading."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxr_node.ops.trial.rows import Answer, Row

_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCount:
    """Number of files with one answer and reason."""

    answer: Answer
    meaning: str
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCount:
    """Films of one device or transfer syntax: all, those read, and the reasons of the others with their numbers."""

    name: str
    films: int
    read: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Summary of a trial. Seconds are of the films that were read: median, 90th percentile, longest."""

    files: int
    reasons: tuple[ReasonCount, ...]
    devices: tuple[GroupCount, ...]
    transfer_syntaxes: tuple[GroupCount, ...]
    models: tuple[str, ...]
    seconds: tuple[float, float, float] | None

    @property
    def read(self) -> int:
        """Number of files that were read."""
        return sum(count.files for count in self.reasons if count.answer is Answer.READ)

    def plain(self) -> dict[str, Any]:
        """Return the summary for a program."""
        groups = {"devices": self.devices, "transfer_syntaxes": self.transfer_syntaxes}
        return {
            "files": self.files,
            "read": self.read,
            "models": list(self.models),
            "reasons": [
                {"answer": count.answer.value, "meaning": count.meaning, "files": count.files} for count in self.reasons
            ],
            **{
                key: [
                    {"name": group.name, "films": group.films, "read": group.read, "reasons": dict(group.reasons)}
                    for group in counts
                ]
                for key, counts in groups.items()
            },
            "seconds": None
            if self.seconds is None
            else dict(zip(("half", "ninety_percent", "longest"), self.seconds, strict=True)),
        }


def summarize(rows: Sequence[Row]) -> Summary:
    """Return the summary of rows. Files that are no DICOM objects belong to no device."""
    order = list(Answer)
    reasons = Counter((row.answer, row.reason.meaning if row.reason else "") for row in rows)
    counts = [ReasonCount(answer=answer, meaning=meaning, files=files) for (answer, meaning), files in reasons.items()]
    seconds = [row.seconds for row in rows if row.answer is Answer.READ]
    objects = [row for row in rows if row.answer is not Answer.NO_FILM]
    return Summary(
        files=len(rows),
        reasons=tuple(sorted(counts, key=lambda count: (order.index(count.answer), -count.files, count.meaning))),
        devices=_groups(objects, lambda row: row.origin.device),
        transfer_syntaxes=_groups(objects, lambda row: row.origin.transfer_syntax),
        models=tuple(dict.fromkeys(model for row in rows for model in row.models)),
        seconds=(float(np.median(seconds)), float(np.quantile(seconds, 0.9)), max(seconds)) if seconds else None,
    )


def _groups(rows: Iterable[Row], name_of: Callable[[Row], str]) -> tuple[GroupCount, ...]:
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[name_of(row) or _UNKNOWN].append(row)
    groups = [
        GroupCount(
            name=name,
            films=len(members),
            read=sum(row.answer is Answer.READ for row in members),
            reasons=tuple(
                Counter(
                    row.reason.meaning if row.reason else row.answer.value
                    for row in members
                    if row.answer is not Answer.READ
                ).most_common()
            ),
        )
        for name, members in grouped.items()
    ]
    return tuple(sorted(groups, key=lambda group: (-group.films, group.name)))
