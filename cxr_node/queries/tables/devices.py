"""Table of devices: senders and equipment of a period, with their films and how many were not analysed."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from sqlalchemy import Float, case, cast, func, select

from cxr_node.db.claim_order import WithoutIndex
from cxr_node.db.states import State
from cxr_node.queries.tables.columns import PERCENT
from cxr_node.queries.tables.table import Period, Source, Table, TableColumn
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queries.views.view import ColumnType

_COLUMNS: Mapping[str, tuple[str, ColumnType, str]] = {
    "calling_ae_title": ("sender", ColumnType.TEXT, "Calling AE title of the sender."),
    "manufacturer": ("manufacturer", ColumnType.TEXT, "Manufacturer (0008,0070) of the films."),
    "manufacturer_model_name": ("model", ColumnType.TEXT, "Manufacturer's Model Name (0008,1090) of the films."),
    "station_name": ("station", ColumnType.TEXT, "Station Name (0008,1010) of the films."),
    "films": ("films", ColumnType.WHOLE, "Films received in the period."),
    "not_analysed": ("not analysed", ColumnType.WHOLE, "Films of these that were not analysed."),
    "not_analysed_percent": ("not analysed, %", ColumnType.NUMBER, "Share of films that were not analysed, 0 to 100."),
    "failed": ("failed", ColumnType.WHOLE, "Films of these whose reading failed."),
    "first_received_at": ("first film", ColumnType.TIME, "When the first film of the period was received."),
    "last_received_at": ("last film", ColumnType.TIME, "When the last film of the period was received."),
    "device": ("device", ColumnType.TEXT, "Sender and equipment as one text, different in each row."),
}
_DEVICE = ("calling_ae_title", "manufacturer", "manufacturer_model_name", "station_name")
"""Columns that tell devices apart; behind a router all have one calling AE title."""


def _source_of(period: Period, _names: AbstractSet[str]) -> Source:
    """Return one row for each sender and equipment with films in the period."""
    films = VIEWS["v1_films"].selectable
    not_analysed: Any = func.sum(case((films.c.state == State.NOT_ANALYSED.value, 1), else_=0))
    device = [WithoutIndex(films.c[name]) for name in _DEVICE]
    parts = [func.coalesce(column, "") for column in device]
    name: Any = parts[0].op("||")(" / ").op("||")(parts[1])
    for part in parts[2:]:
        name = name.op("||")(" / ").op("||")(part)
    query = select(
        *(column.label(label) for column, label in zip(device, _DEVICE, strict=True)),
        func.max(name).label("device"),
        func.count().label("films"),
        not_analysed.label("not_analysed"),
        (cast(not_analysed, Float) * PERCENT / func.count()).label("not_analysed_percent"),
        func.sum(case((films.c.state == State.FAILED.value, 1), else_=0)).label("failed"),
        func.min(films.c.received_at).label("first_received_at"),
        func.max(films.c.received_at).label("last_received_at"),
    ).group_by(*device)
    if period.since is not None:
        query = query.where(films.c.received_at >= period.since)
    if period.until is not None:
        query = query.where(films.c.received_at < period.until)
    rows = query.subquery("devices")
    return Source(clause=rows, columns=dict(rows.c.items()))


DEVICES = Table(
    name="devices",
    title="Devices",
    row="devices that sent films",
    source_of=_source_of,
    columns={
        name: TableColumn(
            name=name, label=label, kind=kind, meaning=meaning, source=name, offers_values=name in _DEVICE
        )
        for name, (label, kind, meaning) in _COLUMNS.items()
    },
    key="device",
    time="last_received_at",
    shown=tuple(name for name in _COLUMNS if name != "device"),
    order="-films",
    needs_film_access=False,
)
