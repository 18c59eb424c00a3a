"""Scratch nodes: settings, folder and database of a node for tests, never ones that hold films."""

import json
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from cxr_node import config
from cxr_node.settings.root import Settings

NODE_TITLE = "CXRNODE"
MODALITY_TITLE = "FAULTS_DX"
WEB_TOKEN = "cxr_faults"  # noqa: S105  # of nodes that hold no film of a patient
"""API token of MODALITY_TITLE at a node with a web entrance."""


class NotScratch(Exception):
    """The folder or the database is not empty; the fault suite does not touch it."""


def check_folder(folder: Path) -> None:
    """Raise NotScratch unless `folder` is empty or missing."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotScratch(f"{folder} is not empty: name an empty folder, or omit --folder for a temporary one")


def check_database(url: str) -> None:
    """Raise NotScratch if the database holds films or is unreachable."""
    try:
        engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
        try:
            with engine.connect() as connection:
                if inspect(connection).has_table("film"):
                    films = connection.execute(text("SELECT count(*) FROM film")).scalar_one()
                    if films:
                        raise NotScratch(f"the database holds {films} films: name an empty one for the fault suite")
        finally:
            engine.dispose()
    except SQLAlchemyError as error:
        raise NotScratch("the database is unreachable: is it running, and is its URL right?") from error


@contextmanager
def schema(url: str) -> Iterator[str]:
    """Create a schema of a unique name in a PostgreSQL database; yield the URL of a node that uses that schema only."""
    name = f"cxr_selftest_{uuid.uuid4().hex[:12]}"
    server = make_url(url).set(drivername="postgresql+psycopg")
    execute(server, f"CREATE SCHEMA {name}")
    try:
        yield server.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)
    finally:
        execute(server, f"DROP SCHEMA IF EXISTS {name} CASCADE")


def execute(url: URL | str, statement: str) -> None:
    """Run a statement in a transaction of its own."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScratchNode:
    """A scratch node's folder and settings."""

    folder: Path
    config: Path

    @property
    def settings(self) -> Settings:
        """The settings as the node loads them."""
        return config.load(self.config)

    @property
    def log(self) -> Path:
        """Log file of the node."""
        return self.folder / "node.log"

    def clear(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def create_node(
    folder: Path,
    *,
    database_url: str = "",
    destinations: Mapping[str, Mapping[str, object]],
    commitment_peers: Mapping[str, int] | None = None,
    sections: Mapping[str, Mapping[str, object]] | None = None,
    receive: Mapping[str, object] | None = None,
) -> ScratchNode:
    """Write the settings of a scratch node into the new folder `folder`.

    `destinations` by name; `commitment_peers` are AE titles with the ports on which they take results; `sections`
    are changes of other sections, `receive` of [receive].
    """
    folder.mkdir(parents=True)
    tables: dict[str, dict[str, object]] = {
        "node": {"name": "faults", "data_folder": "node"},
        "database": {"url": database_url, "busy_timeout_s": 5.0},
        "receive": {"ae_title": NODE_TITLE, "host": "127.0.0.1", "port": 0, **(receive or {})},
        # Independent of the free space of this host.
        "archive": {"reserve_bytes": 0, "reserve_inodes": 0},
        # Its reader has no network to overlap preprocessing with.
        "read": {"threads": 1, "processes": 0},
        # Faults are injected into the process that it runs in.
        "compose": {"study_quiet_s": 0.0, "own_process": False},
        "schedule": {"tick_s": 1.0},
        "log": {"level": "warning"},
    }
    for name, changes in (sections or {}).items():
        tables.setdefault(name, {}).update(changes)
    lines = [_table(f"[{name}]", entries) for name, entries in tables.items()]
    for title, port in (commitment_peers or {}).items():
        lines.append(_table("[[receive.commitment_peers]]", {"ae_title": title, "host": "127.0.0.1", "port": port}))
    for name, entries in destinations.items():
        lines.append(_table("[[deliver.destinations]]", {"name": name, **entries}))
    path = folder / "cxr-node.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ScratchNode(folder=folder, config=path)


def to_pacs(port: int, **changes: object) -> dict[str, object]:
    """Return the settings of a PACS on this machine as destination."""
    return {
        "kind": "cstore",
        "host": "127.0.0.1",
        "port": port,
        "ae_title": "PACS",
        "timeout_s": 10.0,
        "results": ["report"],
        **changes,
    }


def to_web(url: str, **changes: object) -> dict[str, object]:
    """Return the settings of a DICOMweb server as destination."""
    return {"kind": "stow", "url": url, "results": ["report"], "timeout_s": 10.0, **changes}


def to_ris(port: int, **changes: object) -> dict[str, object]:
    """Return the settings of a RIS on this machine as destination."""
    return {"kind": "hl7", "host": "127.0.0.1", "port": port, "timeout_s": 10.0, **changes}


def to_fhir(url: str, **changes: object) -> dict[str, object]:
    """Return the settings of a FHIR server as destination, which files reports by the Patient ID alone."""
    return {"kind": "fhir", "url": url, "patient": "identifier", "timeout_s": 10.0, **changes}


def worklist(port: int, **changes: object) -> dict[str, object]:
    """Return the settings of a worklist on this machine."""
    row = {"kind": "dicom", "name": "ris", "host": "127.0.0.1", "port": port, "ae_title": "WORKLIST", "timeout_s": 10.0}
    return {**row, "workitem": "110003^DCM^Computer Aided Diagnosis", **changes}


def web_worklist(url: str, **changes: object) -> dict[str, object]:
    """Return the settings of a worklist by UPS-RS on this machine."""
    row = {"kind": "dicomweb", "name": "web ris", "url": url, "timeout_s": 10.0}
    return {**row, "workitem": "110003^DCM^Computer Aided Diagnosis", **changes}


def web_entrance(port: int) -> dict[str, object]:
    """Return the settings of an entrance by STOW-RS, in which MODALITY_TITLE may store."""
    return {"enabled": True, "port": port, "senders": [MODALITY_TITLE]}


def free_port() -> int:
    """Return a loopback port that was free a moment ago; a node that is killed and restarted keeps it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def to_folder(folder: Path) -> dict[str, object]:
    """Return the settings of a folder as destination."""
    return {"kind": "folder", "folder": str(folder), "results": ["report"]}


def _table(name: str, entries: Mapping[str, object]) -> str:
    return "\n".join([name, *(f"{key} = {_value(value)}" for key, value in entries.items())])


def _value(value: object) -> str:
    """Return a value as TOML has it."""
    match value:
        case dict():
            return f"{{ {', '.join(f'{key} = {_value(entry)}' for key, entry in value.items())} }}"
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return json.dumps(value)
