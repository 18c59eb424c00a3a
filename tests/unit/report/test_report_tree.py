"""Content tree as text: all items, no header."""

from cxr_node.domain.reasons import Reason
from cxr_node.report.kinds import tid1500
from cxr_node.report.sr.tree import lines
from tests.support import films
from tests.unit.report.studies import composed, everything, not_read, parsed


def test_the_tree_shows_every_value_with_its_name_and_depth() -> None:
    tree = lines(parsed(composed(tid1500.REPORT, [everything(films.dx())])))
    assert tree[0] == (0, "Imaging Measurement Report")
    assert (2, "Measurement Group") in tree
    assert (3, "Finding: Opacity") in tree
    assert (3, "Score for the presence of the finding, 0 to 100: 87 score") in tree
    assert (3, "Presence of property: Present") in tree
    assert (4, "Laterality: Left") in tree
    assert (3, "Cardiothoracic ratio: 0.53 ratio") in tree
    assert (3, "Image Region: POLYLINE of 5 points, columns 0 to 6, rows 18 to 24") in tree


def test_the_brief_tree_has_findings_and_summary_only() -> None:
    report = parsed(composed(tid1500.REPORT, [everything(films.dx())]))
    brief = lines(report, brief=True)
    assert set(brief) < set(lines(report))
    names = {text.split(":")[0] for _, text in brief}
    assert names >= {
        "Finding",
        "Threshold from which the finding is present",
        "Presence of property",
        "Summary",
        "Comment",
        "Image Region",
    }
    assert not names & {"Tracking Unique Identifier", "Algorithm Parameters", "Source", "Image Library"}


def test_no_tree_shows_the_patient() -> None:
    for film in (everything(films.dx()), not_read(films.dx(), Reason.VIEW)):
        text = "\n".join(line for _, line in lines(parsed(composed(tid1500.REPORT, [film]))))
        assert films.PATIENT_ID not in text
        assert films.PATIENT_NAME.split("^", maxsplit=1)[0] not in text
