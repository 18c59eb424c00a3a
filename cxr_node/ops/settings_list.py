"""Every setting with value, default, meaning and place: for the settings page and `cxr-node config show`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic.fields import FieldInfo

from cxr_node.config import Loaded
from cxr_node.domain.section import Section, table_types
from cxr_node.settings.root import Settings
from cxr_node.settings.toml_text import toml_text


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """A setting. Values are TOML, secrets hidden; `default` is empty for a setting that must be set."""

    key: str
    value: str
    default: str
    is_default: bool
    description: str
    place: str

    @property
    def name(self) -> str:
        """The key without its table."""
        return self.key.rpartition(".")[2]

    def contains(self, text: str) -> bool:
        """Whether key, value or meaning contain a text, without regard to case."""
        return text.casefold() in f"{self.key} {self.value} {self.description}".casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingTable:
    """A table of the file: its header, such as [receive], the key of its settings, meaning, and settings."""

    header: str
    key: str
    meaning: str
    rows: tuple[SettingRow, ...]

    @property
    def changed(self) -> int:
        """The number of settings that differ from their default."""
        return sum(not row.is_default for row in self.rows)


def tables(
    settings: Settings, loaded: Loaded | None, *, text: str = "", only_changed: bool = False
) -> Sequence[SettingTable]:
    """Return the tables of the settings, in their order, with the rows that contain `text`.

    Tables without such rows are left out. A table whose header contains the text has all its rows. `loaded` is the
    file of the settings, for places and relative paths.
    """
    shown: list[SettingTable] = []
    for table in _Lister(loaded).tables(settings):
        is_named = text.casefold() in table.header.casefold()
        rows = tuple(
            row for row in table.rows if (is_named or row.contains(text)) and not (only_changed and row.is_default)
        )
        if rows:
            shown.append(replace(table, rows=rows))
    return shown


@dataclass(frozen=True, slots=True)
class _Lister:
    loaded: Loaded | None

    def tables(self, settings: Settings) -> Iterator[SettingTable]:
        for name, section in settings:
            yield self._table(f"[{name}]", name, section)
            yield from self._repeated(name, section)

    def _repeated(self, key: str, section: Section) -> Iterator[SettingTable]:
        """Yield the rows of the repeated tables in a section."""
        for name, value in section:
            rows = value if isinstance(value, tuple) else ()
            for index, row in enumerate(rows):
                if isinstance(row, Section):
                    header = f"[[{key}.{name}]] {row.row_name or index + 1}"
                    yield self._table(header, f"{key}.{name}.{row.row_name or index}", row)

    def _table(self, header: str, key: str, section: Section) -> SettingTable:
        meaning = " ".join((type(section).__doc__ or "").split())
        return SettingTable(header=header, key=key, meaning=meaning, rows=tuple(self._rows(key, section)))

    def _rows(self, key: str, section: Section) -> Iterator[SettingRow]:
        for name, value in section:
            field = type(section).model_fields[name]
            if isinstance(value, Section):
                yield from self._rows(f"{key}.{name}", value)
            elif not _is_repeated_table(field):
                yield self._row(f"{key}.{name}", value, field)

    def _row(self, key: str, value: object, field: FieldInfo) -> SettingRow:
        default = None if field.is_required() else field.get_default()
        if isinstance(default, Path) and self.loaded is not None:
            default = self.loaded.path.parent / default
        is_default = not field.is_required() and value == default
        return SettingRow(
            key=key,
            value=toml_text(value),
            default="" if field.is_required() else toml_text(default),
            is_default=is_default,
            description=field.description or "",
            place=self._place(key, is_default=is_default),
        )

    def _place(self, key: str, *, is_default: bool) -> str:
        """Return where a setting is set; empty if it is not set, or that is not known."""
        if self.loaded is None:
            return ""
        places = self.loaded.places
        return "" if is_default and key not in places.lines and key not in places.sources else places.place(key)


def _is_repeated_table(field: FieldInfo) -> bool:
    return isinstance(field.default, tuple) and bool(table_types(field.annotation))
