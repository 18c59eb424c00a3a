"""Work on the inputs of a Unified Procedure Step: the fate of its films in the ledger, and the delivered results."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, select

from cxr_node.db.tables import delivery, film, result, study
from cxr_node.domain.identifiers import Uid
from cxr_node.queries import ledger
from cxr_node.queries.ledger import LedgerEntry
from cxr_node.records.results import IS_WITHDRAWN


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredResult:
    """A result that is neither superseded nor withdrawn, and the names of the destinations that have accepted it."""

    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_class_uid: Uid
    sop_instance_uid: Uid
    destinations: tuple[str, ...]


def held(connection: Connection, sop_instance_uids: Collection[str]) -> list[LedgerEntry]:
    """Return the ledger entries of the films that were received, one for each SOP Instance UID."""
    return ledger.of_instances(connection, sop_instance_uids)


def delivered_results(connection: Connection, film_ids: Collection[int]) -> list[DeliveredResult]:
    """Return the present results of the studies of films that at least one destination has accepted."""
    studies = select(film.c.study_id).where(film.c.id.in_(film_ids))
    rows = connection.execute(
        select(
            result.c.id,
            study.c.study_instance_uid,
            result.c.series_instance_uid,
            result.c.sop_class_uid,
            result.c.sop_instance_uid,
            delivery.c.destination,
        )
        .join(study, result.c.study_id == study.c.id)
        .join(delivery, delivery.c.result_id == result.c.id)
        .where(
            result.c.study_id.in_(studies),
            result.c.superseded_at.is_(None),
            delivery.c.delivered_at.is_not(None),
            ~IS_WITHDRAWN,
        )
        .order_by(result.c.id, delivery.c.destination)
    ).all()
    names: dict[int, list[str]] = {}
    for row in rows:
        names.setdefault(row.id, []).append(row.destination)
    return [
        DeliveredResult(
            study_instance_uid=Uid(row.study_instance_uid),
            series_instance_uid=Uid(row.series_instance_uid),
            sop_class_uid=Uid(row.sop_class_uid),
            sop_instance_uid=Uid(row.sop_instance_uid),
            destinations=tuple(names[row.id]),
        )
        for row in {row.id: row for row in rows}.values()
    ]
