"""Columns of tables, made from those of views: their headings, choices and scales."""

from collections.abc import Iterator, Mapping

from cxr_node.db.states import Stage, State
from cxr_node.domain.film_geometry import View as Projection
from cxr_node.domain.reading import Presence
from cxr_node.queries.tables.table import TableColumn
from cxr_node.queries.views.view import ColumnType, View

PERCENT = 100.0
"""Scores and thresholds are 0 to 1 in the views, and 0 to 100 for people."""

_LABELS = {
    "calling_ae_title": "sender",
    "called_ae_title": "called AE title",
    "code_meaning": "finding",
    "code_value": "code",
    "code_scheme": "coding scheme",
    "due_at": "scheduled",
    "claim_order": "claim order",
    "film_rows": "rows",
    "film_columns": "columns",
    "model_name": "model",
    "result_state": "result",
    "delivery_state": "delivery",
    "kind": "result kind",
}
_NAMES = {"operating_point": "threshold"}
_SCALED = frozenset({"score", "operating_point"})
_MEANINGS = {
    "score": "Score of the model, 0 to 100; a probability only if calibrated.",
    "operating_point": "Threshold, 0 to 100: the lowest score at which the finding is present.",
}
RESULT_STATES = ("normal", "abnormal", "undetermined", "ratio_above_normal", "no_targets", "not_analysed", "waiting")
DELIVERY_STATES = ("delivered", "waiting", "unreachable", "failed", "dismissed", "not_routed")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "state": tuple(State),
    "stage": tuple(Stage),
    "presence": tuple(Presence),
    "view": tuple(Projection),
    "result_state": RESULT_STATES,
    "delivery_state": DELIVERY_STATES,
}
_OFFERED = frozenset(
    {
        "calling_ae_title",
        "destination",
        "reason",
        "kind",
        "code_meaning",
        "laterality",
        "model_name",
        "model_version",
        "modality",
        "manufacturer",
        "manufacturer_model_name",
        "station_name",
    }
)


def columns_of(*views: View, without: frozenset[str] = frozenset()) -> dict[str, TableColumn]:
    """Return the columns of views for a table; of two of one name, that of the first."""
    columns: dict[str, TableColumn] = {}
    for view in views:
        for column in _columns(view):
            if column.source not in without:
                columns.setdefault(column.name, column)
    return columns


def _columns(view: View) -> Iterator[TableColumn]:
    for source, (kind, meaning) in view.columns.items():
        name = _NAMES.get(source, source)
        yield TableColumn(
            name=name,
            label=_LABELS.get(source, _label(name, kind)),
            kind=kind,
            meaning=_MEANINGS.get(source, meaning),
            source=source,
            factor=PERCENT if source in _SCALED else 1.0,
            choices=_CHOICES.get(source, ()),
            offers_values=source in _OFFERED,
            is_uid=source.endswith("_uid"),
        )


def _label(name: str, kind: ColumnType) -> str:
    """Return the name of a column in words: `received_at` is received, `film_id` is film."""
    suffix = {ColumnType.TIME: "_at", ColumnType.WHOLE: "_id"}.get(kind, "")
    words = name.removesuffix(suffix) if suffix else name
    return words.removeprefix("is_").replace("_", " ").replace("uid", "UID").replace("sop ", "SOP ")
