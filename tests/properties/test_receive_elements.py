"""Values of selected elements agree with the full parser; arbitrary bytes raise ValueError only."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian
from pynetdicom.dsutils import encode

from cxr_node.domain.element_values import values_of
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import Uid
from cxr_node.receive.identify import identify
from tests.support import films

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
SYNTAXES = st.sampled_from([IMPLICIT, EXPLICIT, str(ExplicitVRBigEndian), str(DeflatedExplicitVRLittleEndian)])
WANTED = frozenset({0x00080018, 0x00100020, 0x0020000D})

words = st.text(alphabet="ABC 012", min_size=1, max_size=12).map(str.strip)
uids = st.from_regex(r"[1-9](\.[1-9][0-9]{0,3}){1,8}", fullmatch=True)


@st.composite
def items(draw: st.DrawFn, depth: int = 0) -> Dataset:
    """A sequence item that holds the wanted tags too, where they must not be values."""
    item = Dataset()
    item.SOPInstanceUID = draw(uids)
    item.PatientID = draw(words)
    if depth < 2 and draw(st.booleans()):
        item.RelatedSeriesSequence = draw(sequences(depth + 1))
    item.is_undefined_length_sequence_item = draw(st.booleans())
    return item


def sequences(depth: int = 0) -> st.SearchStrategy[Sequence]:
    return st.lists(items(depth), max_size=3).map(Sequence)


@st.composite
def data_sets(draw: st.DrawFn) -> Dataset:
    data_set = Dataset()
    data_set.SOPInstanceUID = draw(uids)
    data_set.RelatedSeriesSequence = draw(sequences())
    data_set["RelatedSeriesSequence"].is_undefined_length = draw(st.booleans())
    private = data_set.private_block(0x0009, "TEST", create=True)
    private.add_new(0x01, "OB", draw(st.binary(max_size=20).filter(lambda value: len(value) % 2 == 0)))
    private.add_new(0x02, "SQ", draw(sequences()))
    data_set[private.get_tag(0x02)].is_undefined_length = draw(st.booleans())
    if draw(st.booleans()):
        data_set.PatientID = draw(words)
    data_set.StudyInstanceUID = draw(uids)
    data_set.SeriesNumber = "1"
    return data_set


def encoded(data_set: Dataset, transfer_syntax_uid: str) -> bytes:
    syntax = UID(transfer_syntax_uid)
    content = encode(data_set, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    assert content is not None
    return content


@pytest.mark.slow
@settings(max_examples=50)
@given(data_set=data_sets(), syntax=SYNTAXES)
def test_values_are_those_of_the_top_level_in_every_encoding(data_set: Dataset, syntax: str) -> None:
    values = values_of(memoryview(encoded(data_set, syntax)), WANTED, transfer_syntax_uid=Uid(syntax))

    assert {tag: value.rstrip(b"\0 ").decode() for tag, value in values.items()} == {
        tag: str(data_set[tag].value) for tag in WANTED if tag in data_set
    }


@given(content=st.binary(max_size=400), syntax=SYNTAXES)
def test_arbitrary_bytes_are_an_object_or_rejected(content: bytes, syntax: str) -> None:
    with pytest.raises(RejectObject):
        identify(memoryview(content), transfer_syntax_uid=Uid(syntax))


HEADERS = {
    syntax: encoded(films.dx(rows=8, columns=8), syntax)
    for syntax in (IMPLICIT, EXPLICIT, str(ExplicitVRBigEndian), str(DeflatedExplicitVRLittleEndian))
}


@pytest.mark.slow
@settings(max_examples=300)
@given(
    at=st.integers(min_value=0, max_value=1100),
    replacement=st.binary(min_size=1, max_size=8),
    syntax=SYNTAXES,
)
def test_a_damaged_header_gives_uids_or_a_rejection(at: int, replacement: bytes, syntax: str) -> None:
    content = bytearray(HEADERS[syntax])
    content[at : at + len(replacement)] = replacement
    try:
        identity = identify(memoryview(bytes(content)), transfer_syntax_uid=Uid(syntax))
    except RejectObject:
        return
    for uid in (identity.sop_instance_uid, identity.study_instance_uid, identity.series_instance_uid):
        assert set(uid) <= set("0123456789.")
