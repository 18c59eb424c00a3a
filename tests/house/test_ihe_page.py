"""The page on IHE AI Results against the code."""

import re

from cxr_node.domain.commitment import PUSH_MODEL
from cxr_node.report.kinds import key_objects, tid1500
from cxr_node.report.kinds.registry import KIND_BY_NAME, RESULT_KINDS
from cxr_node.report.sr.tree import items, name_of
from tests.support import films
from tests.unit.report.studies import composed, everything, parsed

PAGE = (films.ROOT / "docs" / "reference" / "ihe.md").read_text(encoding="utf-8")
STATEMENT = (films.ROOT / "docs" / "reference" / "conformance.md").read_text(encoding="utf-8")


def test_every_code_on_the_page_is_in_a_report_or_key_image() -> None:
    kinds = (tid1500.REPORT, key_objects.KEY_IMAGES)
    documents = [parsed(composed(kind, [everything(films.dx())])) for kind in kinds]
    written = {name_of(item) for dataset in documents for _, item in items(dataset)}

    named = set(re.findall(r"\((\d{6})[,)]", PAGE))

    assert len(named) >= 5
    assert named <= written


def test_the_report_refers_to_each_modality_as_on_the_page() -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith("| The report refers to every other result"))
    assert row.endswith("| met |")
    referred = {kind.result_type.modality for kind in RESULT_KINDS if kind.result_type.referred_as is not None}
    words = {
        "SEG": "segmentations",
        "PR": "presentation states",
        "OT": "pictures",
        "KO": "key images",
        "SR": "documents",
        "DOC": "pages",
    }
    assert referred <= set(words)
    assert [word for modality, word in words.items() if modality in referred and word not in row] == []


def test_storage_commitment_is_on_the_page_as_in_the_conformance_statement() -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith("| Storage Commitment"))

    assert f"`{PUSH_MODEL}` | yes |" in STATEMENT
    assert "As SCU" in row
    assert "Not supported" not in row


def test_every_kind_of_object_on_the_page_can_be_configured() -> None:
    for name in ("report", "segmentation", "key-images"):
        assert name in KIND_BY_NAME
