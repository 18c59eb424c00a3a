"""TOML file to settings; each error names the key, its place, its value, and what is expected."""

import os
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cxr_node.domain.identifiers import Digest, digest_of
from cxr_node.domain.section import Section
from cxr_node.settings import secrets, sentences
from cxr_node.settings.places import Places
from cxr_node.settings.root import Settings


class ConfigurationError(Exception):
    """The configuration is invalid; `problems` has one sentence for each key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings of a file, and where each of them is; `places.sources` has the secrets that are not in the file."""

    settings: Settings
    places: Places
    path: Path
    digest: Digest
    """SHA-256 of the file."""


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
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read ({error.strerror}); name the file with --config"]) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path}: not TOML: {error}; {_TOML_REMEDY}"]) from error
    return read_text(text, path, environment=environment)


_TOML_REMEDY = "texts need quotes, lists brackets, and each name stands once in its table"


def read_text(text: str, path: Path, *, environment: Mapping[str, str] = os.environ) -> Loaded:
    """Return the settings that the file `path` has with this text; see `read`.

    Raises
    ------
    ConfigurationError
        If it is not TOML, or a setting is wrong.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{path}: not TOML: {error}; {_TOML_REMEDY}"]) from error
    folder = path.resolve().parent
    resolved = secrets.resolve(Settings, tables, folder=folder, environment=environment)
    places = Places.of(str(path), text, resolved.tables, resolved.sources)
    problems = list(resolved.problems)
    settings = None
    try:
        settings = parse(resolved.tables)
    except ConfigurationError as error:
        problems += error.problems
    if settings is None or problems:
        raise ConfigurationError([places.add(problem) for problem in problems])
    return Loaded(
        settings=settings.anchored(folder), places=places, path=path.resolve(), digest=digest_of(text.encode())
    )


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
        raise ConfigurationError(sentences.of_validation_error(error, Settings, tables)) from None
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
        "priors.sources": settings.priors.sources,
        "ups.worklists": settings.ups.worklists,
        "ups.sources": settings.ups.sources,
        "notify.rules": settings.notify.rules,
    }
    counts = {key: Counter(row.row_name for row in rows) for key, rows in tables.items()}
    return [
        f"{key}.{name}: the name {name!r} is there twice; give each a name of its own"
        for key, names in counts.items()
        for name, count in sorted(names.items())
        if count > 1
    ]
