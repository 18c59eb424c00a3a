"""Typeface of pictures and pages: every letter of the six languages, in Japanese or Chinese forms of the characters.

The fonts are subsets of Noto Sans CJK and Noto Sans (decision 0150). A character that the language's font lacks is
taken from another one: names of patients need not be in the language of the results.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from itertools import groupby
from typing import Any

from PIL import ImageDraw, ImageFont

from cxr_node.report.languages.language import Language

Color = tuple[int, int, int]

FILES = {"jp": "noto-sans-cjk-jp.ttf", "sc": "noto-sans-cjk-sc.ttf", "letters": "noto-sans-letters.ttf"}
"""Face to its font file."""
_ENCODINGS = {"jp": "euc_jp", "sc": "gb2312"}
"""Face to the national character set that its font covers, beside Latin-1."""
_SIGNS = "–—‘’“”…\N{NO-BREAK SPACE}"
_ABSENT = "≒"
"""Of a national set, but not of the original font."""
_LETTERS = ((0x100, 0x24F), (0x384, 0x3E1), (0x3F0, 0x45F), (0x1E00, 0x1EFF))
"""First and last Latin, Greek and Cyrillic letters of the third font."""
_NO_LINE_START = "、。，．；：）！？」』】,.;:)!?%"
"""Signs that no line starts with."""
_NO_LINE_END = "（「『【("
_WIDE = 0x2E80
"""First code point of Chinese and Japanese characters and their punctuation."""
_SUBSTITUTE = "?"
_HELD_LINES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Typeface:
    """Faces in order of preference."""

    faces: tuple[str, ...]

    def runs(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield (face, part) of `text`, with a question mark for what no font has."""
        shown = [(_face_of(self.faces, letter), letter) for letter in text]
        letters = [(face or self.faces[0], letter if face else _SUBSTITUTE) for face, letter in shown]
        for face, group in groupby(letters, key=lambda entry: entry[0]):
            yield face, "".join(letter for _, letter in group)

    def covers(self, text: str) -> bool:
        """Whether every character of `text` is in a font."""
        return all(_face_of(self.faces, letter) for letter in text)

    def width(self, text: str, size: int) -> float:
        """Return the length of a line in pixels: the sum of its letters', since the fonts have no kerning."""
        return sum(map(_advances(self, size).__getitem__, text))

    def wrapped(self, text: str, width: float, size: int) -> list[str]:
        """Return `text` as lines of at most `width` pixels; a single word or character may be longer."""
        return broken(text, width, lambda line: self.width(line, size))

    def write(
        self,
        draw: ImageDraw.ImageDraw,
        at: tuple[float, float],
        text: str,
        size: int,
        color: Color,
        *,
        bold: bool = False,
    ) -> None:
        """Write a line with its upper left corner at `at`."""
        left, top = at
        for face, part in self.runs(text):
            weight = {"stroke_width": 1, "stroke_fill": color} if bold else {}
            draw.text((left, top + size * 1.1), part, fill=color, font=font(face, size), anchor="ls", **weight)  # type: ignore[arg-type]
            left += font(face, size).getlength(part)


class _Advances(dict[str, float]):
    """Advance of each letter in a size, measured when it is first asked for."""

    def __init__(self, typeface: Typeface, size: int) -> None:
        super().__init__()
        self._typeface, self._size = typeface, size

    def __missing__(self, letter: str) -> float:
        ((face, shown),) = self._typeface.runs(letter)
        self[letter] = advance = font(face, self._size).getlength(shown)
        return advance


@cache
def _advances(typeface: Typeface, size: int) -> _Advances:
    return _Advances(typeface, size)


def broken(text: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """Return `text` as lines of at most `width` by `measure`; a single word or character may be longer."""
    lines, line = [], ""
    for piece in _pieces(text):
        if line and measure((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def typeface_of(language: Language) -> Typeface:
    """Return the typeface of a language: characters have the Chinese forms in Chinese, and Japanese ones elsewhere."""
    is_chinese = language.code.value.startswith("zh")
    return Typeface(faces=("sc", "jp", "letters") if is_chinese else ("jp", "sc", "letters"))


def content(face: str) -> bytes:
    """Return the font file of a face."""
    return files("cxr_node.report.fonts").joinpath(FILES[face]).read_bytes()


class _Font(ImageFont.FreeTypeFont):
    """A font that holds the lines it drew last: half of the lines of a picture are those of every picture."""

    def __init__(self, face: str, size: int) -> None:
        # The basic layout engine gives the same picture whatever is installed.
        super().__init__(BytesIO(content(face)), size, layout_engine=ImageFont.Layout.BASIC)
        self._drawn = lru_cache(maxsize=_HELD_LINES)(super().getmask2)

    def getmask2(self, text: str | bytes, *arguments: Any, **options: Any) -> Any:
        """Return the mask of a line and its offset; the mask must not be changed."""
        return self._drawn(text, *arguments, **options)


@cache
def font(face: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a face in a size."""
    return _Font(face, size)


@cache
def _face_of(faces: tuple[str, ...], letter: str) -> str:
    """Return the first of the faces that has a letter; "" if none has it."""
    return next((face for face in faces if _is_in(face, letter)), "")


@cache
def _is_in(face: str, letter: str) -> bool:
    if face == "letters":
        return any(first <= ord(letter) <= last for first, last in _LETTERS) and letter.isprintable()
    if letter in _SIGNS or (ord(letter) <= 0xFF and letter.isprintable()):
        return True
    if letter in _ABSENT:
        return False
    try:
        return len(letter.encode(_ENCODINGS[face])) == 2
    except UnicodeEncodeError:
        return False


def _pieces(text: str) -> Sequence[str]:
    """Return the parts between which a line may break: words, and each character of Chinese or Japanese."""
    pieces: list[str] = []
    for letter in text:
        if pieces and not _may_break(pieces[-1][-1], letter):
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return pieces


def _may_break(before: str, after: str) -> bool:
    """Whether a line may break between two characters."""
    if after in _NO_LINE_START or after == " " or before in _NO_LINE_END:
        return False
    return before == " " or ord(before) >= _WIDE or ord(after) >= _WIDE
