"""Sources of secrets: settings file, file that it names, environment variable, systemd credential.

A secret is a setting whose type is `SecretText` or a subclass. For `oidc.client_secret`, the first of these counts:

1. the environment variable CXR_NODE_OIDC_CLIENT_SECRET,
2. the file oidc.client_secret in $CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential=),
3. the file that `oidc.client_secret_file` names, or the value of `oidc.client_secret`, of which one may be set.

A row of a repeated table has its name in the key, such as web.users.kim.password_hash.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

from pydantic.fields import FieldInfo

from cxr_node.domain.errors import cause_of
from cxr_node.domain.secret import is_secret
from cxr_node.domain.section import Section, table_types
from cxr_node.settings.places import Location, row_name

_PREFIX = "CXR_NODE_"
_SUFFIX = "_file"
_LARGEST_BYTES = 1 << 16


def variable_of(key: str) -> str:
    """Return the environment variable of a secret: its key in capitals, other characters as underscores."""
    return _PREFIX + re.sub(r"[^A-Za-z0-9]", "_", key).upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTables:
    """Tables of a settings file with their secrets, where each secret from elsewhere is from, and what is wrong."""

    tables: dict[str, Any]
    sources: Mapping[Location, str]
    problems: tuple[str, ...]


def resolve(
    settings: type[Section], tables: Mapping[str, Any], *, folder: Path, environment: Mapping[str, str]
) -> ResolvedTables:
    """Return the tables with the secrets of files, credentials and environment variables in them.

    `folder` is that of the settings file: relative paths are taken from it.
    """
    resolver = _Resolver(folder, environment)
    resolved = resolver.table([settings], tables, (), "")
    return ResolvedTables(tables=resolved, sources=resolver.sources, problems=tuple(resolver.problems))


def is_list(field: FieldInfo) -> bool:
    """Whether a setting is a list."""
    return get_origin(field.annotation) is tuple


class UnreadableSecret(Exception):
    """A file with a secret cannot be used; the message says why."""


@dataclass(slots=True)
class _Resolver:
    folder: Path
    environment: Mapping[str, str]
    sources: dict[Location, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def table(
        self, types: Sequence[type[Section]], table: Mapping[str, Any], location: Location, key: str
    ) -> dict[str, Any]:
        """Return a table of one of these types with its secrets."""
        resolved = dict(table)
        for name, setting in _fields(types):
            at, name_key = (*location, name), f"{key}.{name}" if key else name
            nested = table_types(setting.annotation)
            if is_secret(setting.annotation):
                self._add_secret(resolved, at, name_key, is_list=is_list(setting))
            elif nested and is_list(setting):
                if isinstance(table.get(name), list):
                    resolved[name] = self._rows(nested, table[name], at, name_key)
            elif nested and isinstance(table.get(name, {}), Mapping):
                inner = self.table(nested, table.get(name, {}), at, name_key)
                if inner or name in table:
                    resolved[name] = inner
        return resolved

    def _rows(self, types: Sequence[type[Section]], rows: list[Any], location: Location, key: str) -> list[Any]:
        return [
            self.table(types, row, (*location, index), f"{key}.{row_name(row) or index}")
            if isinstance(row, Mapping)
            else row
            for index, row in enumerate(rows)
        ]

    def _add_secret(self, table: dict[str, Any], location: Location, key: str, *, is_list: bool) -> None:
        name = str(location[-1])
        path = table.pop(name + _SUFFIX, "")
        if path and table.get(name):
            self.problems.append(f"{key} and {key}{_SUFFIX}: both are set; remove one of them")
            return
        try:
            text, source = self._outside(key, path)
        except UnreadableSecret as error:
            self.problems.append(str(error))
            return
        if source:
            self.sources[location] = source
            table[name] = text.splitlines() if is_list else text

    def _outside(self, key: str, path: object) -> tuple[str, str]:
        """Return a secret that is not in the settings file, and its source; both are empty if there is none."""
        variable = variable_of(key)
        if variable in self.environment:
            return self.environment[variable], f"the environment variable {variable}"
        if credentials := self.environment.get("CREDENTIALS_DIRECTORY"):
            credential = Path(credentials) / key
            subject = f"the credential {credential}"
            if _exists(credential, f"{key}: {subject}"):
                return _read(credential, f"{key}: {subject}"), subject
        if not path:
            return "", ""
        if not isinstance(path, str):
            raise UnreadableSecret(f"{key}{_SUFFIX}: this is no path; expected the name of a file in quotes")
        file = self.folder / path
        return _read(file, f"{key}{_SUFFIX}: {file}"), f"the file {file}"


def _fields(types: Sequence[type[Section]]) -> Iterator[tuple[str, FieldInfo]]:
    for table in types:
        yield from table.model_fields.items()


def _exists(path: Path, subject: str) -> bool:
    """Whether a file is there; raise UnreadableSecret if its folder hides that, as one of another user does."""
    try:
        return path.is_file()
    except OSError as error:
        raise UnreadableSecret(
            f"{subject} cannot be looked for ({cause_of(error)}); its folder must be the node's user's"
        ) from error


def _read(path: Path, subject: str) -> str:
    """Return the text of a file without the end of its last line."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
        text = content.decode()
    except (OSError, UnicodeError) as error:
        raise UnreadableSecret(
            f"{subject} cannot be read ({cause_of(error)}); name a text file that the node's user may read"
        ) from error
    if len(content) > _LARGEST_BYTES:
        raise UnreadableSecret(f"{subject} has more than {_LARGEST_BYTES:,} bytes; expected a secret alone")
    if not text.strip():
        raise UnreadableSecret(f"{subject} is empty; write the secret into it")
    return text.removesuffix("\n").removesuffix("\r")
