"""Multipart bodies: what is read is what was written, whatever the blocks; anything else is an error, never a hang."""

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser

from cxr_node.net.multipart import HEADER_BYTES, MediaType, MultipartError, MultipartReader, boundary_of

BOUNDARY = b"a boundary'()+_,-./:=?"


def written(*parts: tuple[Mapping[str, str], bytes], boundary: bytes = BOUNDARY) -> bytes:
    """Return the body of parts, as RFC 2046 has it."""
    lines = b""
    for fields, content in parts:
        header = "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode()
        lines += b"--" + boundary + b"\r\n" + header + b"\r\n" + content + b"\r\n"
    return lines + b"--" + boundary + b"--\r\n"


def blocks(content: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Yield a content in blocks of sizes, which repeat."""
    at = number = 0
    while at < len(content):
        size = sizes[number % len(sizes)]
        yield content[at : at + size]
        at, number = at + size, number + 1


def read(content: bytes, sizes: list[int], *, boundary: bytes = BOUNDARY) -> list[tuple[dict[str, str], bytes]]:
    """Return fields and bytes of each part."""
    reader = MultipartReader(blocks(content, sizes), boundary)
    return [(dict(part.fields), b"".join(part.content)) for part in reader.parts()]


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)
CONTENT = st.one_of(
    st.binary(max_size=120),
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", BOUNDARY[:5], b"x", b""]), max_size=12).map(b"".join),
)


@given(contents=st.lists(CONTENT, max_size=4), sizes=SIZES)
@example(contents=[b"", b"\r\n", b"\r\n--"], sizes=[1])
@example(contents=[b"\r\n--a boundar"], sizes=[3])
def test_parts_are_read_as_they_were_written_in_blocks_of_any_size(contents: list[bytes], sizes: list[int]) -> None:
    parts = [({"content-type": "application/dicom", "x": str(n)}, content) for n, content in enumerate(contents)]

    assert read(written(*parts), sizes) == parts


@given(contents=st.lists(CONTENT, min_size=1, max_size=3), sizes=SIZES, cut=st.integers(1, 60))
def test_a_body_that_is_cut_anywhere_has_no_part_that_was_not_whole(
    contents: list[bytes], sizes: list[int], cut: int
) -> None:
    whole = written(*(({}, content) for content in contents))
    read_parts: list[bytes] = []

    def read_cut() -> None:
        reader = MultipartReader(blocks(whole[: -cut - 2], sizes), BOUNDARY)
        read_parts.extend(b"".join(part.content) for part in reader.parts())

    with pytest.raises(MultipartError):
        read_cut()
    assert read_parts == contents[: len(read_parts)]


@given(content=st.binary(max_size=300), sizes=SIZES)
def test_any_bytes_are_parts_or_an_error(content: bytes, sizes: list[int]) -> None:
    body = b"--" + BOUNDARY + content
    try:
        parts = read(body, sizes)
    except MultipartError:
        return
    assert b"--" + BOUNDARY + b"--" in body
    assert all(content in body for _, content in parts)


@given(contents=st.lists(CONTENT, min_size=1, max_size=3), sizes=SIZES)
def test_an_independent_parser_reads_the_same(contents: list[bytes], sizes: list[int]) -> None:
    parts: list[bytearray] = []
    parser = MultipartParser(
        BOUNDARY,
        {
            "on_part_begin": lambda: parts.append(bytearray()),
            "on_part_data": lambda data, start, end: parts[-1].extend(data[start:end]),
        },
    )
    body = written(*(({"content-type": "application/dicom"}, content) for content in contents))
    for block in blocks(body, sizes):
        parser.write(block)

    assert [content for _, content in read(body, sizes)] == [bytes(content) for content in parts]


def test_preamble_padding_and_epilogue_are_left_out() -> None:
    body = b"a preamble\r\n--b \t \r\nA: 1\r\n\r\nx\r\n--b--  \r\nan epilogue"

    assert read(body, [7], boundary=b"b") == [({"a": "1"}, b"x")]


def test_a_part_may_have_no_header_and_no_bytes() -> None:
    assert read(b"--b\r\n\r\n\r\n--b\r\nA: 1\r\n\r\n--b--", [1], boundary=b"b") == [({}, b""), ({"a": "1"}, b"")]


def test_a_continued_field_is_one_field_and_the_first_of_two_counts() -> None:
    assert read(b"--b\r\nA: 1\r\n  2\r\na: 3\r\n\r\n\r\n--b--", [100], boundary=b"b") == [({"a": "1  2"}, b"")]


def test_a_part_that_is_not_read_is_skipped() -> None:
    reader = MultipartReader(blocks(written(({"n": "1"}, b"x" * 100), ({"n": "2"}, b"y")), [9]), BOUNDARY)

    assert [part.fields["n"] for part in reader.parts()] == ["1", "2"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "closing delimiter"),
        (b"no delimiter at all", "closing delimiter"),
        (b"--b\r\n\r\nbytes", "closing delimiter"),
        (b"--b\r\n\r\nbytes\r\n--b", "closing delimiter"),
        (b"--bc\r\n\r\nbytes\r\n--b--", "is none"),
        (b"--b\r\nno field\r\n\r\nbytes\r\n--b--", "no field"),
        (b"--b\r\nA: " + b"x" * HEADER_BYTES + b"\r\n\r\n\r\n--b--", "longer than"),
        (b"--b" + b" " * 300 + b"\r\n\r\n\r\n--b--", "is none"),
    ],
)
def test_what_is_no_multipart_body_is_an_error(body: bytes, problem: str) -> None:
    with pytest.raises(MultipartError, match=problem):
        read(body, [5], boundary=b"b")


def test_memory_holds_a_block_and_not_a_part() -> None:
    sizes: list[int] = []
    reader = MultipartReader((b"--b\r\n\r\n", *(bytes(1000) for _ in range(1000)), b"\r\n--b--"), b"b")
    for part in reader.parts():
        sizes.extend(max(len(content), len(reader._buffer)) for content in part.content)

    assert len(sizes) >= 1000
    assert max(sizes) < 2100


@pytest.mark.parametrize(
    ("field", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary="a b"', b"a b"),
        ("Multipart/Related;Boundary=abc;type=application/dicom", b"abc"),
        ("multipart/related; boundary=" + "x" * 73, b"x" * 73),  # as long as that of Orthanc
    ],
)
def test_a_boundary_is_read_with_and_without_quotes(field: str, boundary: bytes) -> None:
    media_type = MediaType(field)

    assert (media_type.name, boundary_of(media_type)) == ("multipart/related", boundary)


@pytest.mark.parametrize("field", ["", "multipart/related", "multipart/related; boundary=", "no type; boundary=b"])
def test_a_content_type_without_boundary_is_an_error(field: str) -> None:
    with pytest.raises(MultipartError, match="no valid boundary"):
        boundary_of(MediaType(field))


@given(st.text(max_size=80))
def test_any_content_type_is_read(field: str) -> None:
    assert MediaType(field).name == MediaType(field).name.lower()
