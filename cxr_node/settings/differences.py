"""Differences of settings: the keys that differ, and which of them a running role takes up."""

from collections.abc import Iterator

from cxr_node.domain.section import Section
from cxr_node.settings.root import Settings

RELOADABLE = ("deliver.destinations", "receive.urgent")
"""Tables that a running role takes up when the file changes; every other setting needs a restart (decision 0217)."""


def differences(before: Section, after: Section, key: str = "") -> Iterator[str]:
    """Yield the key of each setting that differs, without values; of a row that only one of them has, its key."""
    for name, value in before:
        name_key = f"{key}.{name}" if key else name
        other = getattr(after, name, None)
        if isinstance(value, Section) and isinstance(other, Section):
            yield from differences(value, other, name_key)
        elif _has_rows(value) or _has_rows(other):
            yield from _row_differences(value, other, name_key)
        elif value != other:
            yield name_key


def is_reloadable(key: str) -> bool:
    """Whether a running role takes up a changed setting."""
    return any(key == table or key.startswith(f"{table}.") for table in RELOADABLE)


def with_reloadable(running: Settings, changed: Settings) -> Settings:
    """Return the settings of a running role with the reloadable tables of changed settings."""
    return running.model_copy(
        update={
            "deliver": running.deliver.model_copy(update={"destinations": changed.deliver.destinations}),
            "receive": running.receive.model_copy(update={"urgent": changed.receive.urgent}),
        }
    )


def _has_rows(value: object) -> bool:
    return isinstance(value, tuple) and any(isinstance(row, Section) for row in value)


def _row_differences(before: object, after: object, key: str) -> Iterator[str]:
    old, new = _rows(before), _rows(after)
    for name in dict.fromkeys([*old, *new]):
        if name in old and name in new and type(old[name]) is type(new[name]):
            yield from differences(old[name], new[name], f"{key}.{name}")
        else:
            yield f"{key}.{name}"
    in_both = [name for name in old if name in new]
    if in_both != [name for name in new if name in old]:
        yield key


def _rows(value: object) -> dict[str, Section]:
    rows = value if isinstance(value, tuple) else ()
    return {row.row_name or str(index): row for index, row in enumerate(rows) if isinstance(row, Section)}
