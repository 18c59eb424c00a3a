"""Parameters of QIDO-RS: what they match, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.dicomweb.query import MOST, parse_query
from cxr_node.net.http_exchange import RequestRejected
from cxr_node.queries.held_instances import Matching


def matching(*parameters: tuple[str, str], **path: str) -> Matching:
    return parse_query(parameters, path, result_modalities={}).matching


def test_attributes_are_named_by_keyword_or_by_tag() -> None:
    assert matching(("PatientID", "A1")) == matching(("00100020", "A1")) == Matching(identifiers={"patient_id": "A1"})
    assert matching(("0020000d", "1.2,1.3")).study_instance_uids == ("1.2", "1.3")
    assert matching(("ModalitiesInStudy", r"CR\dx")).modalities == ("CR", "DX")


def test_the_path_counts_before_the_query() -> None:
    assert matching(("StudyInstanceUID", "1.2"), StudyInstanceUID="1.9").study_instance_uids == ("1.9",)


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("20260131", ("2026-01-31", "2026-01-31")),
        ("20260101-20260131", ("2026-01-01", "2026-01-31")),
        ("20260101-", ("2026-01-01", "")),
        ("-20260131", ("", "2026-01-31")),
        ("", ("", "")),
    ],
)
def test_a_study_date_is_a_day_or_a_range(text: str, dates: tuple[str, str]) -> None:
    assert matching(("StudyDate", text)).dates == dates


def test_an_empty_value_and_a_lone_wildcard_match_everything() -> None:
    assert matching(("PatientID", ""), ("PatientName", "*"), ("AccessionNumber", "**")) == Matching()


def test_limits_are_bounded_and_a_warning_tells_what_is_not_done() -> None:
    query = parse_query(
        [("limit", "100000"), ("offset", "7"), ("fuzzymatching", "true"), ("includefield", "all")],
        {},
        result_modalities={},
    )

    assert (query.limit, query.offset) == (MOST, 7)
    assert "fuzzymatching" in query.warning


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PatientBirthDate", "19700101"),
        ("StudyDate", "2026-01-31"),
        ("StudyDate", "20260231"),
        ("StudyInstanceUID", "1.2; DROP"),
        ("Modality", "<script>"),
        ("limit", "-1"),
        ("offset", "many"),
        ("limit", "9" * 40),
    ],
)
def test_a_parameter_that_cannot_be_matched_is_refused_and_not_ignored(name: str, value: str) -> None:
    with pytest.raises(RequestRejected) as refused:
        matching((name, value))
    assert refused.value.status == 400


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["PatientID", "PatientName", "StudyDate", "Modality", "limit", "00080018"]), st.text()
        )
    )
)
def test_any_value_is_matched_or_refused(parameters: list[tuple[str, str]]) -> None:
    try:
        query = parse_query(parameters, {}, result_modalities={})
    except RequestRejected:
        return
    assert 0 <= query.limit <= MOST
    assert all("\0" not in text for text in query.matching.identifiers.values())
