"""Films and results in a real S3-speaking store, on lines that fail."""

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from cxr_node import config
from cxr_node.archive.integrity import is_intact
from cxr_node.archive.objects import Bucket, ObjectArchive, StoreUnreachable
from cxr_node.archive.store import film_key
from cxr_node.cli.app import app
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.tables import film as film_table
from cxr_node.domain.identifiers import Digest, digest_of
from cxr_node.wiring import roles
from cxr_node.wiring.process import Process
from tests.support import films, peers
from tests.support.node import InProcessNode
from tests.support.object_store import CREDENTIALS, Mishap, faulty_line
from tests.support.pages import blocks

CONTENT = b"a film" * 40_000
KEY = film_key(digest_of(CONTENT))


@pytest.mark.parametrize("mishap", Mishap)
def test_a_failed_upload_is_retried(bucket: Bucket, mishap: Mishap) -> None:
    with faulty_line(bucket) as line:
        archive = ObjectArchive(replace(bucket, endpoint=line.endpoint, timeout_s=1.0))
        line.mishaps = [mishap]
        archive.put(KEY, CONTENT)
        assert line.uploads == 2

    assert ObjectArchive(bucket).get(KEY) == CONTENT
    assert list(ObjectArchive(bucket).stored_keys()) == [KEY]


@pytest.mark.parametrize("mishap", [Mishap.ERROR, Mishap.CUT])
def test_an_unconfirmed_upload_is_an_error(bucket: Bucket, mishap: Mishap) -> None:
    with faulty_line(bucket) as line:
        archive = ObjectArchive(replace(bucket, endpoint=line.endpoint))
        line.mishaps = [mishap] * 10
        with pytest.raises(StoreUnreachable, match="did not confirm"):
            archive.put(KEY, CONTENT)

    assert KEY not in ObjectArchive(bucket)


def test_an_unreachable_store_is_not_a_missing_object(bucket: Bucket) -> None:
    with faulty_line(bucket) as line:
        gone = replace(bucket, endpoint=line.endpoint, timeout_s=0.5)
    archive = ObjectArchive(gone)

    for ask in (lambda: archive.put(KEY, CONTENT), lambda: archive.get(KEY), lambda: archive.discard(KEY)):
        with pytest.raises(StoreUnreachable):
            ask()
    with pytest.raises(StoreUnreachable):
        _ = KEY in archive
    with pytest.raises(StoreUnreachable):
        list(archive.stored_keys())


def test_an_upload_has_its_digest_in_the_header(bucket: Bucket) -> None:
    with faulty_line(bucket) as line:
        ObjectArchive(replace(bucket, endpoint=line.endpoint)).put(KEY, CONTENT)

    assert line.checksums == [base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()]


@contextmanager
def _receiving(folder: Path, bucket: Bucket, **archive: Any) -> Iterator[tuple[int, Database]]:
    settings = config.parse(
        {
            "node": {"data_folder": str(folder / "data")},
            "receive": {"port": 0},
            "archive": {"bucket": bucket.name, "bucket_endpoint": bucket.endpoint, **archive},
        }
    )
    with Process.open(settings, is_audited=True) as process:
        migrate.upgrade(process.database)
        with roles.receive(process) as address:
            yield int(address.rpartition(":")[2]), process.database


def test_success_follows_store_and_database(bucket: Bucket, tmp_path: Path) -> None:
    film = films.written(films.dx(), tmp_path)
    with faulty_line(bucket) as line, _receiving(tmp_path, replace(bucket, endpoint=line.endpoint)) as (port, database):
        line.mishaps = [Mishap.ERROR] * 4
        refused = peers.storescu(port, film)
        assert refused.returncode != 0
        assert "OutOfResources" in refused.stderr
        assert _film_rows(database) == []

        line.mishaps = [Mishap.LOST]
        assert peers.storescu(port, film).returncode == 0
        assert peers.storescu(port, film).returncode == 0
        rows = _film_rows(database)

    assert len(rows) == 1
    ((key, digest),) = rows
    archive = ObjectArchive(bucket)
    assert list(archive.stored_keys()) == [key]
    assert is_intact(archive.get(key), Digest(digest))
    assert not list((tmp_path / "data").rglob("*.dcm"))


def _film_rows(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        rows = connection.execute(select(film_table.c.archive_key, film_table.c.digest))
        return [(str(row.archive_key), str(row.digest)) for row in rows]


def test_an_archive_moves_into_a_bucket_as_the_how_to_page_says(bucket: Bucket, tmp_path: Path) -> None:
    """Its settings, with keys in files, and its commands but the last, which runs the node."""
    page = (films.ROOT / "docs" / "how-to" / "s3.md").read_text(encoding="utf-8")
    (block,) = (content for language, content in blocks(page) if language == "toml")
    commands = re.findall(r"^    cxr-node (.+)$", page, re.MULTILINE)
    for file, name in (("s3-key-id", "AWS_ACCESS_KEY_ID"), ("s3-key", "AWS_SECRET_ACCESS_KEY")):
        (tmp_path / file).write_text(f"{CREDENTIALS[name]}\n", encoding="utf-8")
    settings = block.replace("chest-films", bucket.name).replace("https://store.hospital.example", bucket.endpoint)
    (tmp_path / "folder.toml").write_text('[node]\ndata_folder = "old"\n', encoding="utf-8")
    (tmp_path / "bucket.toml").write_text(f'[node]\ndata_folder = "new"\n{settings}', encoding="utf-8")
    with Process.open(config.load(tmp_path / "folder.toml")) as process:
        migrate.upgrade(process.database)
        node = InProcessNode(process.database, tmp_path / "old")
        node.accept(films.dx())
        node.work()
        keys = sorted(process.archive.stored_keys())

    for command in commands[:-1]:
        words = [str(tmp_path / word) if word.endswith((".toml", "/")) else word for word in command.split()]
        ended = CliRunner().invoke(app, words)
        assert ended.exit_code == 0, f"{command}: {ended.output}"

    assert len(keys) == 2
    assert sorted(ObjectArchive(bucket).stored_keys()) == keys
    assert commands[-1].startswith("run ")
