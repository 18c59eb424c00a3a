"""Base class of the tables of the settings file, and value types that several tables share."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
)

from cxr_node.domain.cron import is_cron
from cxr_node.domain.identifiers import AeTitle, parse_ae_title
from cxr_node.domain.secret import SecretText, check_password_hash


def _ae_title(text: str) -> AeTitle:
    return parse_ae_title(text)


def _none_if_empty(value: object) -> object:
    return value or None


def _path_if_slash(value: object) -> object:
    return Path(value) if isinstance(value, str) and "/" in value else value


Title = Annotated[str, AfterValidator(_ae_title)]

Port = Annotated[int, Field(ge=0, le=65535)]

PeerPort = Annotated[int, Field(ge=1, le=65535)]
"""A port that another program listens on."""

Seconds = Annotated[float, Field(gt=0)]


def _trigger(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    if isinstance(value, str) and is_cron(value):
        return value
    raise ValueError("expected seconds, or a cron expression of five fields such as '30 2 * * *'")


Trigger = Annotated[float | str, BeforeValidator(_trigger)]
"""When a periodic job runs: an interval in seconds, or a cron expression of five fields, in UTC."""


def text_form(pattern: str, expected: str) -> AfterValidator:
    """Return the validator of a text that must match `pattern`; its sentence states what is expected."""
    form = re.compile(pattern)

    def check(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(f"{json.dumps(text[:80])} is not right; expected {expected}")
        return text

    return AfterValidator(check)


FindingKey = Annotated[
    str,
    text_form(
        r"[a-z][a-z0-9_]{0,63}", "the key of a finding, such as lung_opacity: lower-case letters, digits, underscores"
    ),
]

MailAddress = Annotated[str, text_form(r"[^\s@,;<>]{1,64}@[^\s@,;<>]{1,255}", "an address such as duty@example.org")]

OptionalPath = Annotated[Path | None, BeforeValidator(_none_if_empty)]
"""A path, or None for the empty string."""

PasswordHashText = Annotated[SecretText, AfterValidator(check_password_hash)]
"""A password hash, as `cxr-node config password` prints it."""

NameOrPath = Annotated[Path | str, BeforeValidator(_path_if_slash)]
"""A path where the text contains a slash, else a name."""


class Section(BaseModel):
    """A table of the file. Unknown keys are errors, so that a misspelt setting is not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=True)

    def contradictions(self, key: str) -> Iterator[str]:  # noqa: ARG002  # for tables that have rules
        """Yield a sentence for each setting of this table, at `key` of the file, that contradicts another."""
        yield from ()

    def anchored(self, folder: Path) -> Self:
        """Return the table with every relative path, of nested tables too, taken from `folder`."""
        return self.model_copy(update={name: _anchored(value, folder) for name, value in self})

    def tables(self, key: str = "") -> Iterator[tuple[str, "Section"]]:
        """Yield this table and every table in it, each with its key, such as `receive.peers.DX1`.

        The key of a repeated table ends with its name or AE title, or with its index if it has neither.
        """
        yield key, self
        for field, value in self:
            field_key = f"{key}.{field}" if key else field
            if isinstance(value, Section):
                yield from value.tables(field_key)
            elif isinstance(value, tuple):
                for index, row in enumerate(value):
                    if isinstance(row, Section):
                        yield from row.tables(f"{field_key}.{row.row_name or index}")

    def canonical_json(self) -> str:
        """Return every value, secrets included, as JSON: for digests only, which change with each of them."""
        return json.dumps(self.model_dump(), default=_plain)

    @property
    def row_name(self) -> str:
        """The name or AE title that tells this row of a repeated table from others; empty if it has neither."""
        return str(getattr(self, "name", "") or getattr(self, "ae_title", ""))


@dataclass(frozen=True, slots=True)
class OneOf:
    """Annotates a table that is one of several types, selected by the default of their field `kind`."""

    types: Callable[[], Sequence[type[Section]]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return BeforeValidator(self._parse).__get_pydantic_core_schema__(source, handler)

    def _parse(self, value: object) -> object:
        if not isinstance(value, dict):
            return value
        tables = {table.model_fields["kind"].default: table for table in self.types()}
        if value.get("kind") not in tables:
            kinds = " or ".join(f'"{kind}"' for kind in tables)
            beginning = (
                f"{json.dumps(value['kind'], default=str)} is not right; expected"
                if "kind" in value
                else "must be set to"
            )
            error = ValueError(f"{beginning} {kinds}")
            raise ValidationError.from_exception_data(
                "kind", [{"type": "value_error", "loc": ("kind",), "input": value, "ctx": {"error": error}}]
            )
        return tables[value["kind"]].model_validate(value)


def table_types(annotation: Any) -> list[type[Section]]:
    """Return the tables in the type of a field; empty if its values are no tables."""
    if isinstance(annotation, OneOf):
        return list(annotation.types())
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [table for part in get_args(annotation) for table in table_types(part)]


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretText) else str(value)


def _anchored(value: Any, folder: Path) -> Any:
    match value:
        case Path():
            return folder / value
        case Section():
            return value.anchored(folder)
        case tuple():
            return tuple(_anchored(item, folder) for item in value)
        case _:
            return value
