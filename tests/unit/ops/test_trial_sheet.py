"""Summary and HTML sheet of a trial."""

import stat
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest

from cxr_node.domain.explanations import Group, explanations
from cxr_node.domain.reading import Presence
from cxr_node.domain.reasons import Reason
from cxr_node.ops.trial import sheet
from cxr_node.ops.trial.rows import Answer, Obstacle, Origin, Row, TrialFinding
from cxr_node.ops.trial.sheet import SheetFacts
from cxr_node.ops.trial.summary import ReasonCount, summarize

FACTS = SheetFacts(places="films", settings="default settings", at=datetime(2026, 1, 31, 12, tzinfo=UTC))
DEVICE = Origin(manufacturer="Maker", model="One", transfer_syntax="Explicit VR Little Endian")
FINDING = TrialFinding(
    key="lung_opacity",
    code_meaning="Opacity",
    laterality="right",
    score=0.76,
    operating_point=0.24,
    presence=Presence.PRESENT,
)


def rows(folder: Path) -> list[Row]:
    (folder / "000000.jpg").write_bytes(b"\xff\xd8picture")
    read = Row(
        file="a.dcm",
        answer=Answer.READ,
        origin=DEVICE,
        findings=(FINDING,),
        models=("m 1",),
        seconds=2.0,
        picture=folder / "000000.jpg",
        outlines=("M1 1L2 1L2 2Z",),
        shown_size=(30, 40),
    )
    faster = Row(file="b.dcm", answer=Answer.READ, origin=DEVICE, models=("m 1",), seconds=1.0)
    lateral = Row(
        file="<c>.dcm", answer=Answer.NOT_ANALYSED, reason=Reason.VIEW, detail="lateral", origin=DEVICE, seconds=9.0
    )
    text = Row(file="d.txt", answer=Answer.NO_FILM, reason=Obstacle.NOT_DICOM, detail="no prefix")
    return [lateral, text, read, faster]


def test_summary_counts_answers_devices_and_times(tmp_path: Path) -> None:
    summary = summarize(rows(tmp_path))

    assert summary.reasons == (
        ReasonCount(answer=Answer.READ, meaning="", files=2),
        ReasonCount(answer=Answer.NOT_ANALYSED, meaning=Reason.VIEW.meaning, files=1),
        ReasonCount(answer=Answer.NO_FILM, meaning=Obstacle.NOT_DICOM.meaning, files=1),
    )
    ((device,), (syntax,)) = summary.devices, summary.transfer_syntaxes
    assert (device.name, device.films, device.read) == ("Maker One", 3, 2)
    assert device.reasons == syntax.reasons == ((Reason.VIEW.meaning, 1),)
    assert summary.read == 2
    assert summary.models == ("m 1",)
    assert summary.seconds == pytest.approx((1.5, 1.9, 2.0))


def test_summary_of_no_film_has_no_times() -> None:
    assert summarize([]).seconds is None


def test_sheet_is_one_page_that_only_its_owner_reads(tmp_path: Path) -> None:
    page = tmp_path / "sheet.html"

    assert sheet.write(page, rows(tmp_path), summarize(rows(tmp_path)), FACTS) is None

    text = page.read_text(encoding="utf-8")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "Trial of 4 files: 2 read" in text
    assert "data:image/jpeg;base64,/9hwaWN0dXJl" in text
    assert '<path d="M1 1L2 1L2 2Z"/>' in text
    assert "76 / 24" in text
    assert "Not a frontal view, or view unknown: lateral" in text
    assert explanations()[Group.NOT_ANALYSED]["VIEW"].remedy in unescape(text)
    assert "&lt;c&gt;.dcm" in text
    assert "<c>" not in text
    assert "http" not in text


def test_many_pictures_are_in_a_folder_beside_the_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "_EMBEDDED", 0)
    page = tmp_path / "sheet.html"

    folder = sheet.write(page, rows(tmp_path), summarize(rows(tmp_path)), FACTS)

    assert folder == tmp_path / "sheet-pictures"
    picture = folder / "000000.jpg"
    assert picture.read_bytes() == b"\xff\xd8picture"
    assert stat.S_IMODE(picture.stat().st_mode) == 0o600
    assert 'src="sheet-pictures/000000.jpg"' in page.read_text(encoding="utf-8")
