"""De-identified exports: who began one, of which films, to where, and how far it came."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import insert, update

from cxr_node.db.database import Transaction
from cxr_node.db.export_tables import export_run


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCounts:
    """What an export has done: studies, those that were there before, objects by kind, films left out by reason."""

    studies: int = 0
    present: int = 0
    objects: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


def begin(
    transaction: Transaction, *, by: str, target: str, selection: str, conditions: str, films: int, now: datetime
) -> int:
    """Record that an export begins; return its number. `selection` and `conditions` name no patient, study or film."""
    words = {"begun_by": by, "target": target, "selection": selection, "conditions": conditions, "detail": ""}
    values = {**words, "begun_at": now, "planned_films": films, **_columns(ExportCounts())}
    result = transaction.connection.execute(insert(export_run).values(values).returning(export_run.c.id))
    return int(result.scalar_one())


def note(transaction: Transaction, export_id: int, counts: ExportCounts) -> None:
    """Record what an export has done so far."""
    transaction.connection.execute(update(export_run).where(export_run.c.id == export_id).values(_columns(counts)))


def end(transaction: Transaction, export_id: int, *, failure: str, now: datetime) -> None:
    """Record that an export has ended, and why it has not taken everything; "" if it is complete."""
    values = {"detail": failure, "ended_at": now}
    transaction.connection.execute(update(export_run).where(export_run.c.id == export_id).values(values))


def _columns(counts: ExportCounts) -> dict[str, object]:
    return {
        "studies": counts.studies,
        "present_studies": counts.present,
        "objects": sum(counts.objects.values()),
        "kinds": ", ".join(f"{number} {kind}" for kind, number in counts.objects.items()),
        "left_out": sum(counts.left_out.values()),
        "reasons": "; ".join(f"{number} {reason}" for reason, number in counts.left_out.items()),
    }
