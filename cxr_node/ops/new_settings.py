"""Settings of a new node from the answers of a person: checks of the answers, and the files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_node import config
from cxr_node.db.database import Database
from cxr_node.db.url import is_postgresql, split_password
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.files import create_whole
from cxr_node.domain.identifiers import parse_ae_title
from cxr_node.domain.password_policy import password_fault
from cxr_node.ops import example_config
from cxr_node.settings.operations import USER_NAME
from cxr_node.settings.root import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacs:
    """The PACS that results go to."""

    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return AETITLE@HOST:PORT."""
        return f"{self.ae_title}@{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the settings of a new node depend on. `database_url` is empty for SQLite in the data folder."""

    ae_title: str = "CXRNODE"
    port: int = 11112
    data_folder: str = "cxr-node-data"
    pacs: Pacs | None = None
    database_url: str = ""

    def settings(self) -> Settings:
        """Return the settings; relative paths are as they were given.

        Raises
        ------
        ConfigurationError
            If an answer is not allowed; the sentence names its setting.
        """
        tables: dict[str, Any] = {
            "receive": {"ae_title": self.ae_title, "port": self.port},
            "node": {"data_folder": self.data_folder},
            "database": {"url": self.database_url},
        }
        if self.pacs is not None:
            row = {"kind": "cstore", "name": "pacs", "host": self.pacs.host, "port": self.pacs.port}
            tables["deliver"] = {"destinations": [{**row, "ae_title": self.pacs.ae_title}]}
        return config.parse(tables)


def pacs_fault(answers: Answers) -> str:
    """Return why the PACS does not answer C-ECHO, and what to do; empty if it does, or if there is none."""
    for row in answers.settings().deliver.destinations:
        probe = row.probe((), calling_ae_title=parse_ae_title(answers.ae_title))
        if not probe.is_usable:
            return f"{probe.message}; {probe.next_step}"
    return ""


def database_fault(answers: Answers) -> str:
    """Return why the database cannot be reached; empty if it can, or if it is SQLite in the data folder."""
    if not answers.database_url or not is_postgresql(answers.database_url):
        return ""
    database = Database(answers.database_url)
    try:
        with database.read():
            return ""
    except RetryLater as error:
        return f"{error}; check that the server runs, and host, user, password and name in the URL"
    finally:
        database.close()


def user_fault(answers: Answers, name: str, password: str) -> str:
    """Return why a user cannot be added, and what to do; empty if it can."""
    if not re.fullmatch(USER_NAME, name):
        return f"{name!r} is no user name; expected 1 to 64 letters, digits, or any of . _ - @"
    minimum = answers.settings().web.minimum_password_characters
    return password_fault(password, user_name=name, minimum_characters=minimum)


def write(path: Path, answers: Answers) -> tuple[Path, ...]:
    """Write the settings file and, if the database URL has a password, a file with it; return the files.

    Raises
    ------
    FileExistsError
        If one of them exists: nothing is overwritten.
    """
    url, password = answers.database_url, ""
    if url and is_postgresql(url):
        url, password = split_password(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not password:
        create_whole(path, _text(answers, url, {}).encode())
        return (path,)
    password_file = path.with_name(f"{path.stem}.database-password")
    if path.exists():  # before the password is written
        raise FileExistsError(17, "exists", str(path))
    create_whole(password_file, f"{password}\n".encode())
    create_whole(path, _text(answers, url, {"database.password": password_file.name}).encode())
    return path, password_file


def _text(answers: Answers, database_url: str, secret_files: Mapping[str, str]) -> str:
    settings = answers.settings()
    database = settings.database.model_copy(update={"url": type(settings.database.url)(database_url)})
    keys = {"receive.ae_title", "receive.port", "node.data_folder", *(["database.url"] if database_url else [])}
    return example_config.new_text(settings.model_copy(update={"database": database}), keys, secret_files=secret_files)
