"""TOML file to settings; each error names the key, its value, the expected value and the nearest key."""

import difflib
import os
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from cxr_node.domain.secret import is_secret
from cxr_node.domain.section import Section, table_types
from cxr_node.settings import secrets
from cxr_node.settings.root import Settings
from cxr_node.settings.secrets import Location


class ConfigurationError(Exception):
    """The configuration is invalid; `problems` has one sentence for each key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings of a file, and where each secret that is not in the file is from."""

    settings: Settings
    secret_sources: Mapping[str, str]
    """Source by key, such as "the environment variable CXR_NODE_DATABASE_URL" of database.url."""


def load(path: Path) -> Settings:
    """Read the settings of a TOML file, and their secrets; see `read`."""
    return read(path).settings


def read(path: Path, *, environment: Mapping[str, str] = os.environ) -> Loaded:
    """Read the settings of a TOML file, and secrets of files and environment variables (settings/secrets.py).

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
    folder = path.resolve().parent
    resolved = secrets.resolve(Settings, tables, folder=folder, environment=environment)
    try:
        settings = parse(resolved.tables, sources=resolved.sources)
    except ConfigurationError as error:
        raise ConfigurationError([*resolved.problems, *error.problems]) from None
    if resolved.problems:
        raise ConfigurationError([*resolved.problems])
    sources = {named_key(resolved.tables, location): source for location, source in resolved.sources.items()}
    return Loaded(settings=settings.anchored(folder), secret_sources=sources)


def named_key(tables: object, location: Location) -> str:
    """Return the key of a setting; a row of a repeated table has its name or AE title in it, if it has one."""
    parts: list[str] = []
    for part in location:
        try:
            tables = tables[part]  # type: ignore[index]  # a dictionary or a list, unless the settings are wrong
        except (TypeError, KeyError, IndexError):
            tables = None
        name = (tables.get("name") or tables.get("ae_title")) if isinstance(tables, dict) else None
        parts.append(str(name or part) if isinstance(part, int) else part)
    return ".".join(parts)


def parse(tables: dict[str, Any], *, sources: Mapping[Location, str] | None = None) -> Settings:
    """Return the settings in `tables`; a missing key has its default. `sources` names those of secrets.

    Raises
    ------
    ConfigurationError
        If a setting is invalid.
    """
    try:
        settings = Settings.model_validate(tables)
    except ValidationError as error:
        faults = error.errors()
        raise ConfigurationError([_sentence(dict(fault), sources or {}) for fault in faults]) from None
    problems = _repeated_names(settings)
    problems += [problem for key, table in settings.tables() for problem in table.contradictions(key)]
    if problems:
        raise ConfigurationError(problems)
    return settings


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


def _sentence(error: dict[str, Any], sources: Mapping[Location, str]) -> str:
    """Return a sentence with the key, its value, the expected value or the nearest key."""
    location = tuple(error["loc"])
    key = ".".join(str(part) for part in location)
    source = next((sources[location[:end]] for end in range(1, len(location) + 1) if location[:end] in sources), "")
    if source:
        key += f" (from {source})"
    match error["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(str(location[-1]), _keys_beside(location), n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "; config.example.toml has every setting"
            return f"{key}: there is no such setting{hint}"
        case "missing":
            return f"{key}: must be set ({_description(location)})"
        case "value_error":
            return f"{key}: {str(error['msg']).removeprefix('Value error, ')} ({_description(location)})"
        case _:
            expected = str(error["msg"]).removeprefix("Input should be ")
            value = repr(error["input"]) if _is_quotable(location, error["input"]) else "the value"
            return f"{key}: {value} is not right; expected {expected} ({_description(location)})"


def _is_quotable(location: Location, value: object) -> bool:
    """Whether a sentence may quote a value: not one that may hold a password or a token, nor a whole table."""
    fields = _fields_at(location)
    may_hold_secret = not fields or any(
        is_secret(field.annotation) or table_types(field.annotation) for field in fields
    )
    return isinstance(value, str | int | float) and "://" not in str(value) and not may_hold_secret


def _keys_beside(location: Location) -> list[str]:
    return sorted({name for table in _tables_at(location[:-1]) for name in table.model_fields})


def _description(location: Location) -> str:
    descriptions = (field.description for field in _fields_at(location))
    return next((text for text in descriptions if text), "see config.example.toml")


def _fields_at(location: Location) -> list[FieldInfo]:
    """Return the settings that `location` may name, or has an entry of; none if there is no such setting."""
    while location and isinstance(location[-1], int):
        location = location[:-1]
    tables = _tables_at(location[:-1])
    return [table.model_fields[name] for table in tables for name in [location[-1]] if name in table.model_fields]


def _tables_at(location: Location) -> list[type[Section]]:
    """Return the tables that `location` may name: several if a row can be of several kinds."""
    tables: list[type[Section]] = [Settings]
    for key in location:
        if isinstance(key, str):
            fields = [table.model_fields[key] for table in tables if key in table.model_fields]
            tables = [table for field in fields for table in table_types(field.annotation)]
    return tables
