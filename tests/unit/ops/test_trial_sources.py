"""Files that a trial finds, and the reason for each that is not read."""

import os
import zipfile
from pathlib import Path

import pytest

from cxr_node.ops.trial import sources
from cxr_node.ops.trial.rows import NotAdmitted, Obstacle
from cxr_node.ops.trial.sources import Source, SourceReader, find_sources, printable, spread
from tests.support import films
from tests.support.trial_files import BOMB_BYTES, bomb, dicomdir, encoded, zipped

FILM = encoded(films.dx())
LIMIT = 1 << 20


def read(source: Source) -> bytes:
    with SourceReader(maximum_object_bytes=LIMIT) as reader:
        return reader.read(source)


def obstacles(folder: Path) -> dict[str, Obstacle | None]:
    """Return the obstacle of each file; None for one that is read."""
    outcome: dict[str, Obstacle | None] = {}
    for source in find_sources([folder]):
        try:
            read(source)
            outcome[source.name] = None
        except NotAdmitted as error:
            outcome[source.name] = error.reason
    return outcome


def test_nested_folders_and_archives_are_searched_in_order(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "film").write_bytes(FILM)
    (tmp_path / "a.dcm").write_bytes(FILM)
    zipped(tmp_path / "z.zip", {"folder/": b"", "folder/1.dcm": FILM, "2.dcm": FILM})

    sources = find_sources([tmp_path])

    assert [source.name for source in sources] == ["a.dcm", "z.zip/folder/1.dcm", "z.zip/2.dcm", "b/c/film"]
    assert {read(source) for source in sources} == {FILM}


def test_files_that_are_no_films_have_a_reason(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("not a film", encoding="utf-8")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "large.dcm").write_bytes(FILM + bytes(3 << 20))
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")

    assert obstacles(tmp_path) == {
        "note.txt": Obstacle.NOT_DICOM,
        "empty": Obstacle.NOT_DICOM,
        "large.dcm": Obstacle.OBJECT_SIZE,
        "link": Obstacle.UNREADABLE,
        "fifo": Obstacle.UNREADABLE,
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_what_may_not_be_read_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "secret.dcm").write_bytes(FILM)
    (tmp_path / "secret.dcm").chmod(0)

    assert set(obstacles(tmp_path).values()) == {Obstacle.UNREADABLE}


def test_folder_that_cannot_be_listed_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "film").write_bytes(FILM)

    def walk(folder: Path, onerror: object) -> object:
        assert callable(onerror)
        onerror(PermissionError(13, "Permission denied", str(folder / "closed")))
        return iter([(str(folder), [], ["film"])])

    monkeypatch.setattr("cxr_node.ops.trial.sources.os.walk", walk)

    assert obstacles(tmp_path) == {"film": None, "closed": Obstacle.UNREADABLE}


@pytest.mark.slow
def test_archives_cannot_do_harm(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", {"1.dcm": FILM}).read_bytes()
    (tmp_path / "inner.zip").unlink()
    names = ("../out.dcm", "/etc/out.dcm", "a/../../out.dcm", "..\\out.dcm", "C:\\out.dcm")
    zipped(tmp_path / "names.zip", dict.fromkeys(names, FILM))
    zipped(tmp_path / "bomb.zip", {"bomb.dcm": bomb(films.dx()), "inner.zip": inner})
    assert (tmp_path / "bomb.zip").stat().st_size < BOMB_BYTES / 100

    outcome = obstacles(tmp_path)

    assert outcome["bomb.zip/bomb.dcm"] is Obstacle.OBJECT_SIZE
    assert outcome["bomb.zip/inner.zip"] is Obstacle.ARCHIVE
    assert [outcome[f"names.zip/{name}"] for name in names] == [Obstacle.NAME] * len(names)


def test_damaged_archives_have_a_reason(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "whole.zip", {"1.dcm": FILM}).read_bytes()
    (tmp_path / "whole.zip").unlink()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    middle = len(whole) // 2
    (tmp_path / "changed.zip").write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    flags = whole.index(b"PK\x01\x02") + 8
    (tmp_path / "encrypted.zip").write_bytes(whole[:flags] + b"\1\0" + whole[flags + 2 :])
    with zipfile.ZipFile(tmp_path / "bzip2.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("1.dcm", FILM)

    assert set(obstacles(tmp_path).values()) == {Obstacle.ARCHIVE}
    assert len(obstacles(tmp_path)) == 4


def test_archive_with_too_long_a_list_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "list.zip", {f"{number}.dcm": b"" for number in range(100)})
    monkeypatch.setattr(sources, "_LARGEST_READ_BYTES", 1000)

    assert obstacles(tmp_path) == {"list.zip": Obstacle.ARCHIVE}


def test_archive_with_too_many_files_has_a_row_for_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "many.zip", {f"{number}.dcm": FILM for number in range(3)})
    monkeypatch.setattr(sources, "_MOST_MEMBERS", 2)

    assert obstacles(tmp_path) == {"many.zip/0.dcm": None, "many.zip/1.dcm": None, "many.zip": Obstacle.ARCHIVE}


@pytest.mark.parametrize("is_chosen", [False, True], ids=["a folder", "the DICOMDIR"])
def test_dicomdir_names_what_is_missing(tmp_path: Path, *, is_chosen: bool) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "im1.;1").write_bytes(FILM)
    (tmp_path / "another.dcm").write_bytes(FILM)
    listed = dicomdir(("IMAGES", "IM1"), ("IMAGES", "IM2"), ("..", "..", "IM3"))
    (tmp_path / "DICOMDIR").write_bytes(listed)

    outcome = obstacles(tmp_path / "DICOMDIR" if is_chosen else tmp_path)

    assert outcome.pop("another.dcm", None) is None
    assert outcome == {
        "images/im1.;1": None,
        "DICOMDIR": Obstacle.DICOMDIR,
        "IMAGES/IM2": Obstacle.MISSING,
        "../../IM3": Obstacle.NAME,
    }


def test_only_the_files_of_a_chosen_dicomdir_are_tried(tmp_path: Path) -> None:
    (tmp_path / "IM1").write_bytes(FILM)
    (tmp_path / "IM2").write_bytes(FILM)
    (tmp_path / "DICOMDIR").write_bytes(dicomdir(("IM1",)))

    assert [source.name for source in find_sources([tmp_path / "DICOMDIR"])] == ["DICOMDIR", "IM1"]


def test_dicomdir_in_an_archive_is_followed(tmp_path: Path) -> None:
    zipped(tmp_path / "cd.zip", {"CD/DICOMDIR": dicomdir(("IM1",), ("IM2",)), "CD/im1": FILM})

    assert obstacles(tmp_path) == {
        "cd.zip/CD/DICOMDIR": Obstacle.DICOMDIR,
        "cd.zip/CD/im1": None,
        "cd.zip/CD/IM2": Obstacle.MISSING,
    }


@pytest.mark.parametrize("content", [FILM[:400], b"no DICOMDIR", dicomdir(("IM1",))[:-40]])
def test_damaged_dicomdir_has_a_reason(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "DICOMDIR").write_bytes(content)

    outcome = obstacles(tmp_path)

    assert list(outcome) == ["DICOMDIR"]
    assert outcome["DICOMDIR"] in (Obstacle.DICOMDIR, Obstacle.NOT_DICOM)


def test_names_of_several_folders_are_whole(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "film").write_bytes(FILM)

    sources = find_sources([tmp_path / "one", tmp_path / "two"])

    assert [source.name for source in sources] == [str(tmp_path / "one" / "film"), str(tmp_path / "two" / "film")]


def test_names_are_shown_in_printable_characters() -> None:
    assert printable("a\x1b[31mb\n\udcff.dcm") == "a?[31mb??.dcm".replace("??", "?\N{REPLACEMENT CHARACTER}")


def test_limit_spreads_over_all_files(tmp_path: Path) -> None:
    sources = [Source(name=str(number), path=tmp_path) for number in range(10)]

    assert [source.name for source in spread(sources, 4)] == ["0", "2", "5", "7"]
    assert spread(sources, 10) == sources
