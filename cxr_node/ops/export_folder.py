"""Folder of an export: a folder for each study, whole or not there, and a manifest.

A study is written beside, flushed, and renamed. What an interrupted run left beside is removed by the next one, which
goes on with the studies that are not there.
"""

import csv
import fcntl
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cxr_node.domain.errors import cause_of
from cxr_node.domain.files import flush, replace_whole
from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.export.study import StudyExport
from cxr_node.ops.export_target import CannotExport

MANIFEST = "manifest.csv"
_STATE = "conditions.json"
_LOCK = ".lock"
_PARTIAL = ".partial-"
_ROWS = "objects.csv"
_STAGED = (_PARTIAL, f".{_STATE}.", f".{MANIFEST}.")
"""Names of what is written beside: a study, the conditions, the manifest."""
_COLUMNS = (
    "patient_id",
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "sop_class_uid",
    "kind",
    "file",
    "sha256",
)


class ExportFolder:
    """Folder of an export that this process holds alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """The folder, in messages."""
        return str(self._folder)

    @property
    def uri(self) -> str:
        """The folder in the audit trail."""
        return self._folder.resolve().as_uri()

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, conditions: Mapping[str, object]) -> Iterator["ExportFolder"]:
        """Open the folder for an export under some conditions, a new one or one that was begun under the same.

        Raises
        ------
        CannotExport
            If it cannot be written to, has other files, another export, or is written to now.
        """
        with _faults_in_words(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check(folder, conditions)
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CannotExport(f"another export writes to {folder} now") from None
            with _faults_in_words(folder):
                _remove_left(folder)
                replace_whole(folder / _STATE, json.dumps(conditions, indent=2).encode())
            yield cls(folder)
        finally:
            os.close(lock)

    def has(self, study_instance_uid: Uid) -> bool:
        """Whether a study is in it."""
        return (self._folder / study_instance_uid).is_dir()

    def put(self, study_instance_uid: Uid, study: StudyExport, *, before: Callable[[], None]) -> None:
        """Write a study; call `before` when its files are written, before they have their names.

        Raises
        ------
        CannotExport
            If it cannot be written: nothing of it is there then.
        """
        partial = self._folder / f"{_PARTIAL}{study_instance_uid}"
        try:
            with _faults_in_words(self._folder):
                partial.mkdir(mode=0o700)
                for one in study.objects:
                    _write(partial / f"{one.instance.identity.sop_instance_uid}.dcm", one.instance.content)
                _write(partial / _ROWS, _csv(_rows(study_instance_uid, study)))
                flush(partial, os.O_DIRECTORY)
                before()
                partial.rename(self._folder / study_instance_uid)
                flush(self._folder, os.O_DIRECTORY)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def finish(self) -> None:
        """Write the manifest of all studies in it."""
        with _faults_in_words(self._folder):
            rows = [row for path in sorted(self._folder.glob(f"*/{_ROWS}")) for row in _parsed(path)]
            replace_whole(self._folder / MANIFEST, _csv(rows))


def _check(folder: Path, conditions: Mapping[str, object]) -> None:
    state = folder / _STATE
    if state.is_file():
        if json.loads(state.read_text(encoding="utf-8")) != conditions:
            raise CannotExport(f"{folder} has an export with another secret, options or results; name a new folder")
    elif any(path.name != _LOCK and not path.name.startswith(_STAGED) for path in folder.iterdir()):
        raise CannotExport(f"{folder} has files that are of no export; name a new folder")


def _remove_left(folder: Path) -> None:
    """Remove what an interrupted run has left beside."""
    for path in list(folder.iterdir()):
        if path.name.startswith(_STAGED):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _faults_in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise CannotExport(f"cannot write to {folder}: {cause_of(error)}") from error


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _rows(study_instance_uid: Uid, study: StudyExport) -> list[Mapping[str, str]]:
    rows: list[Mapping[str, str]] = []
    for one in study.objects:
        identity = one.instance.identity
        values = (
            study.pseudonym,
            study_instance_uid,
            identity.series_instance_uid,
            identity.sop_instance_uid,
            identity.sop_class_uid,
            one.kind,
            f"{study_instance_uid}/{identity.sop_instance_uid}.dcm",
            digest_of(one.instance.content),
        )
        rows.append(dict(zip(_COLUMNS, values, strict=True)))
    return rows


def _csv(rows: Sequence[Mapping[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parsed(path: Path) -> list[Mapping[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
