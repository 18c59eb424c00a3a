"""Short cuts of pictures give what the long way gives: lengths of lines, places of labels, blended lines, gray."""

import random
from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.pictures.drawing import Drawing
from cxr_node.report.pictures.overlay import ORANGE, SKY
from cxr_node.report.pictures.picture import TEXT
from cxr_node.report.pictures.placement import Box, Request, placed
from cxr_node.report.pictures.reduced import most_significant
from cxr_node.report.pictures.typeface import font, typeface_of

FILM = Box(left=0, top=0, width=780, height=960)


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_line_is_as_long_as_its_letters(name: str) -> None:
    language = LANGUAGES[name]
    typeface = typeface_of(language)
    phrases = [getattr(language.phrases, field.name) for field in fields(language.phrases)]
    for line in (*(phrase for phrase in phrases if isinstance(phrase, str)), "AVATAR. To fi Œuvre Łódź Ωμέγα 肺 ☃"):
        whole = sum(font(face, TEXT).getlength(part) for face, part in typeface.runs(line))
        assert typeface.width(line, TEXT) == whole


def one_by_one(request: Request, occupied: list[Box]) -> Box | None:
    """Return the nearest free rectangle, each candidate compared with each box."""

    def candidates() -> Iterator[Box]:
        (column, row), width, height = request.anchor, request.width, request.height
        gap = height / 4
        lefts = [column + gap, column - gap - width, column - width / 2, FILM.left, FILM.right - width]
        tops = [row - gap - height, row + gap, row - height / 2, FILM.top, FILM.bottom - height]
        lefts += [edge for box in occupied for edge in (box.right, box.left - width)]
        tops += [edge for box in occupied for edge in (box.bottom, box.top - height)]
        for left in dict.fromkeys(lefts):
            for top in dict.fromkeys(tops):
                if FILM.left <= left and left + width <= FILM.right and FILM.top <= top and top + height <= FILM.bottom:
                    yield Box(left=left, top=top, width=width, height=height)

    def distance(box: Box) -> float:
        column, row = box.nearest(request.anchor)
        return (column - request.anchor[0]) ** 2 + (row - request.anchor[1]) ** 2

    free = (box for box in candidates() if not any(box.overlaps(other) for other in occupied))
    return min(free, key=distance, default=None)


@pytest.mark.parametrize("seed", range(4))
def test_labels_lie_where_a_search_of_every_place_puts_them(seed: int) -> None:
    numbers = random.Random(seed)  # noqa: S311  # places of labels
    avoided = [
        Box(left=numbers.uniform(0, 500), top=numbers.uniform(0, 600), width=numbers.uniform(9, 300), height=150)
        for _ in range(5)
    ]
    requests = [
        Request(
            anchor=(numbers.uniform(0, 780), numbers.uniform(0, 960)),
            width=numbers.uniform(50, 500),
            height=numbers.choice([31.0, 62.0, 500.0]),
        )
        for _ in range(12)
    ]
    occupied: list[Box] = []
    expected = []
    for request in requests:
        box = one_by_one(request, [*occupied, *avoided]) or one_by_one(request, occupied)
        expected.append(box)
        occupied += [box] if box else []

    assert placed(requests, FILM, avoided) == expected
    assert any(expected)


def test_lines_are_blended_as_if_the_whole_film_were() -> None:
    gray = np.random.default_rng(3).integers(0, 256, (301, 247), np.uint8)
    picture = Image.fromarray(gray).convert("RGB")
    drawing = Drawing(film=picture, x=1.0, y=1.0, typeface=typeface_of(LANGUAGES["en"]), text=TEXT)
    assert drawing.finished().tobytes() == picture.tobytes()
    drawing.outline([(31.3, 20.1), (120.8, 35.2), (90.4, 200.9)], ORANGE, dashed=True)
    drawing.caliper([(5.0, 280.5), (246.5, 280.5)], SKY)

    whole = Image.alpha_composite(picture.convert("RGBA"), drawing._layer.reduce(2)).convert("RGB")
    assert drawing.finished().tobytes() == whole.tobytes() != picture.tobytes()


def test_gray_of_8_bits_is_the_upper_byte() -> None:
    p_values = np.arange(65536, dtype=np.uint16).reshape(256, 256)

    for turned in (p_values, p_values.T, p_values[::-1, ::-1]):
        assert np.array_equal(most_significant(turned), turned >> 8)


@pytest.mark.parametrize("color", [ORANGE, SKY])
@pytest.mark.parametrize("bold", [False, True])
def test_a_line_that_was_drawn_before_looks_the_same(color: tuple[int, int, int], bold: bool) -> None:
    line, typeface = "Heart 192 mm, 肺 5.5", typeface_of(LANGUAGES["en"])

    def drawn(left: float) -> bytes:
        image = Image.new("RGB", (400, 50))
        typeface.write(ImageDraw.Draw(image), (left, 4.5), line, TEXT, color, bold=bold)
        return image.tobytes()

    places = [7.0, 7.75, 7.0, 90.5]
    held = [drawn(left) for left in places]
    font.cache_clear()
    assert [drawn(left) for left in places[::-1]] == held[::-1]
    assert len(set(held)) > 1
