"""One step of a worklist: its row, the films and results of its study, and what happened when."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, select

from cxr_node.db.procedure_step_tables import procedure_step
from cxr_node.db.tables import study
from cxr_node.queries import browse, view_rows
from cxr_node.queries.view_rows import equal
from cxr_node.queries.views.registry import VIEWS

Row = dict[str, Any]
_DELIVERED = ("delivery_id", "result_id", "kind", "destination", "delivered_at")


def step_detail(connection: Connection, step_id: int, *, sees_films: bool) -> Row | None:
    """Return a step with the films, results and events of its study; None if there is none.

    Without `sees_films` it has neither UIDs nor what concerns films.
    """
    rows = view_rows.rows(connection, VIEWS["v1_worklist_steps"], conditions=[equal("step_id", step_id)], limit=1)
    if not rows:
        return None
    step = rows[0]
    if not sees_films:
        visible = {name: value for name, value in step.items() if not name.endswith("_uid")}
        return {"step": visible, "study_id": None, "films": [], "results": [], "events": _in_order(_own(step))}
    of_study = select(study.c.id).where(study.c.study_instance_uid == step["study_instance_uid"])
    study_id = connection.execute(of_study).scalar()
    films: Sequence[Row] = [] if study_id is None else browse.films_of(connection, study_id)
    results: Sequence[Row] = [] if study_id is None else browse.results_of(connection, study_id)
    deliveries = _deliveries(connection, study_id)
    events = [*_own(step), *_of_study(films, results, deliveries)]
    return {"step": step, "study_id": study_id, "films": films, "results": results, "events": _in_order(events)}


def transaction_uid(connection: Connection, step_id: int) -> str:
    """Return the Transaction UID by which a step is locked at its manager."""
    query = select(procedure_step.c.transaction_uid).where(procedure_step.c.id == step_id)
    return str(connection.execute(query).scalar_one())


def _deliveries(connection: Connection, study_id: int | None) -> list[Row]:
    if study_id is None:
        return []
    of_study = [equal("study_id", study_id)]
    return view_rows.rows(connection, VIEWS["v1_deliveries"], columns=_DELIVERED, conditions=of_study)


def _own(step: Row) -> Iterator[Row]:
    """Yield the events of a step itself; the last is its state."""
    yield {"at": step["requested_at"], "event": "claim requested"}
    yield {"at": step["claimed_at"], "event": "claim granted by the manager"}
    yield {"at": step["ended_at"], "event": step["state"]}


def _of_study(films: Sequence[Row], results: Sequence[Row], deliveries: Sequence[Row]) -> Iterator[Row]:
    for film in films:
        yield {"at": film["received_at"], "event": f"film {film['film_id']} received"}
    for result in results:
        kind = f"{result['kind']}, version {result['version']}"
        yield {"at": result["composed_at"], "event": f"result {result['result_id']} ({kind}) composed"}
    for delivery in deliveries:
        text = f"result {delivery['result_id']} ({delivery['kind']}) delivered to {delivery['destination']}"
        yield {"at": delivery["delivered_at"], "event": text}


def _in_order(events: Sequence[Row] | Iterator[Row]) -> list[Row]:
    """Return what has happened, the oldest first."""
    return sorted((event for event in events if event["at"] is not None), key=lambda event: event["at"])
