"""Folder of an export that is killed at any step: studies are whole or not there, and the next run completes it."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_node.domain.identifiers import Digest, Uid, digest_of
from cxr_node.domain.instance import Identity, Instance
from cxr_node.export.study import ExportedObject, StudyExport
from cxr_node.ops.export_folder import ExportFolder
from cxr_node.ops.export_target import CannotExport

CONDITIONS = {"options": ["device"]}
STUDIES = [Uid("2.25.1"), Uid("2.25.2")]
KILLED = 9
MOST_STEPS = 60


def study_of(uid: Uid) -> StudyExport:
    """Return an export of two objects."""
    objects = [
        ExportedObject(
            kind="film",
            instance=Instance(
                identity=Identity(
                    sop_class_uid=Uid("1.2.840.10008.5.1.4.1.1.1"),
                    sop_instance_uid=Uid(f"{uid}.{number}"),
                    series_instance_uid=Uid(f"{uid}.9"),
                    study_instance_uid=uid,
                    patient_key=Digest("0" * 64),
                ),
                transfer_syntax_uid=Uid("1.2.840.10008.1.2.1"),
                digest=digest_of(b""),
                content=f"{uid} {number}".encode(),
            ),
        )
        for number in (1, 2)
    ]
    return StudyExport(objects=tuple(objects), left_out=Counter(), pseudonym="P")


def export(folder: Path, *, before: Callable[[], None] = lambda: None) -> None:
    """Export two studies to a folder."""
    with ExportFolder.opened(folder, CONDITIONS) as target:
        for uid in STUDIES:
            if not target.has(uid):
                target.put(uid, study_of(uid), before=before)
        target.finish()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def killed_at(folder: Path, step: int) -> bool:
    """Export in a process that is killed at a flush to disk; return False if it ended before."""
    process = os.fork()
    if process == 0:
        flush, calls = os.fsync, [0]

        def fsync(descriptor: int) -> None:
            calls[0] += 1
            if calls[0] == step:
                os._exit(KILLED)
            flush(descriptor)

        os.fsync = fsync  # type: ignore[assignment]  # in the process that is killed
        try:
            export(folder)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == KILLED


def test_a_kill_at_any_step_leaves_whole_studies(tmp_path: Path) -> None:
    export(tmp_path / "expected")
    expected = contents(tmp_path / "expected")
    step = 1
    while killed_at(folder := tmp_path / f"step-{step}", step):
        left = contents(folder) if folder.exists() else {}
        assert all(left[name] == expected[name] for name in left if not name.startswith("."))
        export(folder)
        assert contents(folder) == expected, step
        step += 1

    assert 10 < step < MOST_STEPS


def test_two_exports_at_a_time_are_refused(tmp_path: Path) -> None:
    with ExportFolder.opened(tmp_path / "out", CONDITIONS), pytest.raises(CannotExport, match="another export writes"):
        export(tmp_path / "out")


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(CannotExport, match="files that are of no export"):
        export(tmp_path)

    assert contents(tmp_path) == {"letter.txt": b"mine"}


def test_what_cannot_be_recorded_does_not_leave(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("the audit trail cannot be written")

    with pytest.raises(RuntimeError):
        export(tmp_path / "out", before=fail)

    assert list((tmp_path / "out").glob("*.*.*")) == []
    assert not (tmp_path / "out" / "manifest.csv").exists()
