"""Registry of tables, in the order of the page's navigation."""

from collections.abc import Mapping

from cxr_node.db.states import State
from cxr_node.queries.tables.columns import columns_of
from cxr_node.queries.tables.devices import DEVICES
from cxr_node.queries.tables.table import Preset, Table, source_of_joined_views, source_of_view
from cxr_node.queries.view_rows import equal
from cxr_node.queries.views.registry import VIEWS

_RARE_STATES: frozenset[object] = frozenset({State.WAITING, State.RUNNING, State.FAILED, State.DISMISSED})
"""States of few jobs: those of done jobs are nearly all."""
_ANY: frozenset[object] = frozenset()
_OF_STUDIES_ONLY = frozenset({"result_state", "films", "priority", "first_received_at", "last_received_at"})
"""Columns of v1_studies that the table of films has no use for."""

_STUDIES = Table(
    name="studies",
    title="Studies",
    row="studies",
    source_of=source_of_view(VIEWS["v1_studies"]),
    columns=columns_of(VIEWS["v1_studies"]),
    key="study_id",
    time="first_received_at",
    shown=("study_id", "result_state", "delivery_state", "first_received_at", "calling_ae_title", "films"),
    presets=(
        Preset(label="abnormal", where=("result_state=abnormal",)),
        Preset(label="delivery failed", where=("delivery_state=failed",)),
        Preset(label="waiting for a destination", where=("delivery_state=unreachable",)),
        Preset(label="not analysed", where=("result_state=not_analysed",)),
    ),
    selective={"study_id": _ANY, "study_instance_uid": _ANY},
)

_FILMS = Table(
    name="films",
    title="Films",
    row="films",
    source_of=source_of_joined_views(VIEWS["v1_films"], VIEWS["v1_studies"], on="study_id"),
    columns=columns_of(VIEWS["v1_films"], VIEWS["v1_studies"], without=_OF_STUDIES_ONLY),
    key="film_id",
    time="received_at",
    shown=("film_id", "study_id", "received_at", "calling_ae_title", "view", "state", "reason", "delivery_state"),
    presets=(
        Preset(label="not analysed", where=("state=not_analysed",)),
        Preset(label="waiting", where=("state=waiting",)),
        Preset(label="failed", where=("state=failed",)),
    ),
    selective={
        "film_id": _ANY,
        "study_id": _ANY,
        "job_id": _ANY,
        "study_instance_uid": _ANY,
        "sop_instance_uid": _ANY,
        "state": _RARE_STATES,
    },
)

_FINDINGS = Table(
    name="findings",
    title="Findings",
    row="findings",
    source_of=source_of_view(VIEWS["v1_findings"]),
    columns=columns_of(VIEWS["v1_findings"]),
    key="finding_id",
    time="received_at",
    shown=(
        "received_at",
        "film_id",
        "study_id",
        "calling_ae_title",
        "code_meaning",
        "laterality",
        "score",
        "threshold",
        "presence",
    ),
    presets=(
        Preset(label="above 80, last 7 days", where=("score>80", "is_newest=yes")),
        Preset(label="present, last 24 h", where=("presence=present", "is_newest=yes"), since="24h"),
        Preset(label="undetermined, last 7 days", where=("presence=undetermined", "is_newest=yes")),
    ),
    # The view fixes SQLite's join order: study, film, reading, finding.
    lookup="film_id",
    selective={"film_id": _ANY, "study_id": _ANY},
)

_DELIVERIES = Table(
    name="deliveries",
    title="Deliveries",
    row="deliveries",
    source_of=source_of_view(VIEWS["v1_deliveries"]),
    columns=columns_of(VIEWS["v1_deliveries"]),
    key="delivery_id",
    time="created_at",
    shown=(
        "delivery_id",
        "created_at",
        "study_id",
        "result_id",
        "kind",
        "destination",
        "state",
        "attempts",
        "delivered_at",
        "due_at",
        "detail",
    ),
    presets=(
        Preset(label="failed", where=("state=failed",), since="all"),
        Preset(label="waiting", where=("state=waiting",), since="all"),
        Preset(label="delivered, last 24 h", where=("state=done",), since="24h"),
    ),
    selective={
        "delivery_id": _ANY,
        "result_id": _ANY,
        "study_id": _ANY,
        "job_id": _ANY,
        "study_instance_uid": _ANY,
        "state": _RARE_STATES,
    },
    needs_film_access=False,
)

_WORKLIST_STEPS = Table(
    name="steps",
    title="Worklist steps",
    row="procedure steps",
    source_of=source_of_view(VIEWS["v1_worklist_steps"]),
    columns=columns_of(VIEWS["v1_worklist_steps"]),
    key="step_id",
    time="requested_at",
    shown=(
        "step_id",
        "requested_at",
        "worklist",
        "state",
        "study_instance_uid",
        "films",
        "held_films",
        "progress",
        "detail",
        "ended_at",
    ),
    presets=(
        Preset(label="in progress", where=("state=in_progress",), since="all"),
        Preset(label="canceled", where=("state=canceled",)),
        Preset(label="completed, last 24 h", where=("state=completed",), since="24h"),
    ),
    selective={"step_id": _ANY},
    needs_film_access=False,
)

_EXPORTS = Table(
    name="exports",
    title="De-identified exports",
    row="exports",
    source_of=source_of_view(VIEWS["v1_exports"]),
    columns=columns_of(VIEWS["v1_exports"]),
    key="export_id",
    time="begun_at",
    shown=(
        "export_id",
        "begun_at",
        "begun_by",
        "target",
        "selection",
        "outcome",
        "objects",
        "kinds",
        "left_out",
        "reasons",
        "detail",
    ),
    presets=(
        Preset(label="completed", where=("outcome=completed",), since="all"),
        Preset(label="failed", where=("outcome=failed",), since="all"),
    ),
    selective={"export_id": _ANY},
    needs_film_access=False,
)

_JOBS = Table(
    name="jobs",
    title="Jobs",
    row="jobs",
    source_of=source_of_view(VIEWS["v1_jobs"]),
    columns=columns_of(VIEWS["v1_jobs"]),
    key="job_id",
    time="created_at",
    shown=(
        "job_id",
        "created_at",
        "stage",
        "state",
        "study_id",
        "film_id",
        "destination",
        "attempts",
        "ended_at",
        "reason",
        "detail",
    ),
    presets=(
        Preset(label="failed", where=("state=failed",), since="all"),
        Preset(label="waiting", where=("state=waiting",), since="all"),
        Preset(label="running", where=("state=running",), since="all"),
    ),
    selective={
        "job_id": _ANY,
        "film_id": _ANY,
        "study_id": _ANY,
        "delivery_id": _ANY,
        "study_instance_uid": _ANY,
        "state": _RARE_STATES,
    },
    needs_film_access=False,
)

_REFUSALS = Table(
    name="refusals",
    title="Refusals",
    row="films that were not analysed",
    source_of=source_of_view(VIEWS["v1_films"]),
    columns=columns_of(VIEWS["v1_films"]),
    key="film_id",
    time="received_at",
    shown=("film_id", "study_id", "received_at", "calling_ae_title", "reason", "detail"),
    fixed=(equal("state", State.NOT_ANALYSED.value),),
    selective={"film_id": _ANY, "study_id": _ANY},
)

_REJECTIONS = Table(
    name="rejections",
    title="Rejections",
    row="rejected associations, connections or objects",
    source_of=source_of_view(VIEWS["v1_rejections"]),
    columns=columns_of(VIEWS["v1_rejections"]),
    key="rejection_id",
    time="last_at",
    shown=("calling_ae_title", "reason", "address", "rejections", "first_at", "last_at", "host"),
    selective={"rejection_id": _ANY},
    needs_film_access=False,
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        _STUDIES,
        _FILMS,
        _FINDINGS,
        _DELIVERIES,
        _JOBS,
        _REFUSALS,
        _REJECTIONS,
        DEVICES,
        _WORKLIST_STEPS,
        _EXPORTS,
    )
}
