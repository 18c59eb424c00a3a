"""Forms of rows of the settings file: a field for each setting, and the TOML values of what a person entered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from cxr_node.deliver.destinations import DESTINATIONS
from cxr_node.domain.secret import is_secret
from cxr_node.domain.section import Section, table_types
from cxr_node.settings.receive import UrgentSection
from cxr_node.settings.results import result_names

_NOT_SET = object()
_FIXED = ("kind",)
"""Settings that a form shows, and a person does not enter."""


class Control(StrEnum):
    """How a setting is entered."""

    TEXT = "text"
    NUMBER = "number"
    SWITCH = "switch"
    CHOICE = "choice"
    CHOICES = "choices"
    LINES = "lines"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """A setting of a row. `name` has a dot within a table in the row, such as when.views; `default` is a TOML value."""

    name: str
    control: Control
    description: str
    is_required: bool
    default: Any
    choices: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The part of the form: route, tls, or row."""
        if self.name == "results" or self.name.startswith("when."):
            return "route"
        return "tls" if self.name.startswith("tls_") else "row"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowForm:
    """A kind of row that a person may edit: the word for it, its table, type, and fields."""

    key: str
    word: str
    section: str
    name: str
    row_type: type[Section]

    @property
    def fields(self) -> tuple[FormField, ...]:
        """The settings of a row, in their order."""
        return tuple(_fields(self.row_type))

    @property
    def fixed(self) -> dict[str, Any]:
        """Settings that the kind of row decides."""
        return {name: self.row_type.model_fields[name].default for name in _FIXED if name in self.row_type.model_fields}

    @property
    def meaning(self) -> str:
        """What a row is."""
        return " ".join((self.row_type.__doc__ or "").split())


FORMS: Mapping[str, RowForm] = {
    form.key: form
    for form in (
        *(
            RowForm(
                key=str(kind.model_fields["kind"].default),
                word=f"destination ({kind.model_fields['kind'].default})",
                section="deliver",
                name="destinations",
                row_type=kind,
            )
            for kind in DESTINATIONS
        ),
        RowForm(key="urgent", word="priority rule", section="receive", name="urgent", row_type=UrgentSection),
    )
}
"""Kinds of rows that a person may edit, by key."""


def form_of_row(section: str, name: str, row: Mapping[str, Any]) -> RowForm | None:
    """Return the form of a row of a table; None if there is none for its kind."""
    forms = [form for form in FORMS.values() if (form.section, form.name) == (section, name)]
    return next((form for form in forms if all(row.get(key) == value for key, value in form.fixed.items())), None)


def shown_values(form: RowForm, row: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what the fields of a row show, as a browser posts it; a setting that is not set shows its default."""
    values = _flat(row)
    return {field.name: _texts(field, values.get(field.name, field.default)) for field in form.fields}


def entered_values(form: RowForm, row: Mapping[str, Any], posted: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the TOML values by which what was posted differs from a row; None removes a setting.

    `row` is empty for a new row. A setting that has its default, and is not in the row, is not written. What is no
    number stays text, so that the check of the settings names it.
    """
    present = _flat(row)
    values: dict[str, Any] = {} if row else dict(form.fixed)
    for field in form.fields:
        entered = _entered(field, [text.strip() for text in posted.get(field.name, ())])
        before = present.get(field.name, _NOT_SET)
        if entered is None:
            if before not in (_NOT_SET, "", []):
                values[field.name] = None
        elif before is _NOT_SET:
            if field.is_required or not _is_same(field, entered, field.default):
                values[field.name] = entered
        elif not _is_same(field, entered, before):
            values[field.name] = entered
    return values


def _is_same(field: FormField, one: Any, other: Any) -> bool:
    if field.control is Control.CHOICES and isinstance(other, list):
        return set(one) == set(other)
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _entered(field: FormField, texts: Sequence[str]) -> Any:
    """Return the TOML value of a field; None for an empty one that may be missing."""
    match field.control:
        case Control.SWITCH:
            return bool(texts)
        case Control.LINES:
            lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
            return lines or (None if not field.default else [])
        case Control.CHOICES:
            return [text for text in field.choices if text in texts] or (None if not field.default else [])
    text = texts[0] if texts else ""
    if not text:
        return "" if field.is_required else None
    return _number(text) if field.control is Control.NUMBER else text


def _number(text: str) -> Any:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            pass
    return text


def _texts(field: FormField, value: Any) -> list[str]:
    match field.control:
        case Control.SWITCH:
            return ["true"] if value else []
        case Control.LINES:
            return ["\n".join(map(str, value or ()))]
        case Control.CHOICES:
            return [str(item) for item in value or ()]
    return ["" if value is None else f"{value:.15g}" if isinstance(value, float) else str(value)]


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            values |= {f"{name}.{inner}": item for inner, item in value.items()}
        else:
            values[name] = value
    return values


def _fields(table: type[Section], prefix: str = "") -> Iterator[FormField]:
    for name, field in table.model_fields.items():
        nested = table_types(field.annotation)
        if nested:
            yield from _fields(nested[0], f"{prefix}{name}.")
        elif name not in _FIXED and not is_secret(field.annotation):  # a form would show it
            yield _field(f"{prefix}{name}", field)


def _field(name: str, field: FieldInfo) -> FormField:
    default = None if field.is_required() else _plain(field.default)
    control, choices = _control(name, field)
    return FormField(
        name=name,
        control=control,
        description=field.description or "",
        is_required=field.is_required(),
        default=default,
        choices=choices,
    )


def _control(name: str, field: FieldInfo) -> tuple[Control, tuple[str, ...]]:
    annotation = field.annotation
    if name == "results":
        return Control.CHOICES, result_names()
    if get_origin(annotation) is tuple:
        item = get_args(annotation)[0]
        if isinstance(item, type) and issubclass(item, Enum):
            return Control.CHOICES, tuple(str(choice.value) for choice in item)
        if get_origin(item) is Literal:
            return Control.CHOICES, tuple(map(str, get_args(item)))
        return Control.LINES, ()
    if get_origin(annotation) is Literal:
        return Control.CHOICE, tuple(map(str, get_args(annotation)))
    if annotation is bool:
        return Control.SWITCH, ()
    if annotation in (int, float):
        return Control.NUMBER, ()
    return Control.TEXT, ()


def _plain(value: Any) -> Any:
    match value:
        case tuple():
            return [_plain(item) for item in value]
        case Path() | Enum():
            return str(value.value if isinstance(value, Enum) else value)
    return value
