"""TOML file to settings; each error names the key, its value, the expected value and the nearest key."""

import difflib
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cxr_node.domain.section import Section, table_types
from cxr_node.settings.root import Settings


class ConfigurationError(Exception):
    """The configuration is invalid; `problems` has one sentence for each key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path) -> Settings:
    """Read the settings of a TOML file.

    Relative paths are taken from the file's folder.

    Raises
    ------
    ConfigurationError
        If the file cannot be read or a setting is wrong.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read ({error.strerror}); name the file with --config"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: not TOML: {error}"]) from error
    return parse(tables).anchored(path.resolve().parent)


def parse(tables: dict[str, Any]) -> Settings:
    """Return the settings in `tables`; a missing key has its default.

    Raises
    ------
    ConfigurationError
        If a setting is invalid.
    """
    try:
        settings = Settings.model_validate(tables)
    except ValidationError as error:
        raise ConfigurationError([_sentence(dict(problem)) for problem in error.errors()]) from None
    problems = _repeated_names(settings)
    problems += [problem for key, table in settings.tables() for problem in table.contradictions(key)]
    if problems:
        raise ConfigurationError(problems)
    return settings


_SECRET_WORDS = frozenset(
    ["secret", "password", "hash", "token", "url", "endpoint", "issuer", "webhook", "headers", "key"]
)
"""Words in names of settings whose values are not quoted."""


def _repeated_names(settings: Settings) -> list[str]:
    tables: dict[str, tuple[Section, ...]] = {
        "deliver.destinations": settings.deliver.destinations,
        "report.character_sets": settings.report.character_sets,
        "receive.users": settings.receive.users,
        "web.users": settings.web.users,
        "receive.commitment_peers": settings.receive.commitment_peers,
    }
    counts = {key: Counter(row.row_name for row in rows) for key, rows in tables.items()}
    return [
        f"{key}: the name {name!r} is there twice"
        for key, names in counts.items()
        for name, count in sorted(names.items())
        if count > 1
    ]


def _sentence(error: dict[str, Any]) -> str:
    """Return a sentence with the key, its value, the expected value or the nearest key."""
    location = tuple(error["loc"])
    key = ".".join(str(part) for part in location)
    match error["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(str(location[-1]), _keys_beside(location), n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "; config.example.toml has every setting"
            return f"{key}: there is no such setting{hint}"
        case "missing":
            return f"{key}: must be set ({_description(location)})"
        case "value_error":
            return f"{key}: {str(error['msg']).removeprefix('Value error, ')} ({_description(location)})"
        case _ if location[-1] == "password_hash":
            return f"{key}: not a password hash ({_description(location)})"
        case _:
            expected = str(error["msg"]).removeprefix("Input should be ")
            value = repr(error["input"]) if _is_quotable(location, error["input"]) else "the value"
            return f"{key}: {value} is not right; expected {expected} ({_description(location)})"


def _is_quotable(location: tuple[int | str, ...], value: object) -> bool:
    """Whether a sentence may quote a value: not one that may hold a password or a token, nor a whole table."""
    words = {word for name in location if isinstance(name, str) for word in name.split("_")}
    is_table = len(location) == 1
    return (
        isinstance(value, str | int | float) and "://" not in str(value) and not is_table and not words & _SECRET_WORDS
    )


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    return sorted({name for table in _tables_at(location[:-1]) for name in table.model_fields})


def _description(location: tuple[int | str, ...]) -> str:
    for table in _tables_at(location[:-1]):
        field = table.model_fields.get(str(location[-1]))
        if field is not None and field.description:
            return field.description
    return "see config.example.toml"


def _tables_at(location: tuple[int | str, ...]) -> list[type[Section]]:
    """Return the tables that `location` may name: several if a row can be of several kinds."""
    tables: list[type[Section]] = [Settings]
    for key in location:
        if isinstance(key, str):
            fields = [table.model_fields[key] for table in tables if key in table.model_fields]
            tables = [table for field in fields for table in table_types(field.annotation)]
    return tables
