"""Writer of one-page PDF files (ISO 32000-1) with text, rectangles, lines and JPEG images. Pure.

Equal drawings are equal bytes: there is no time and no random identifier. Fonts are embedded as subsets, with the
characters of each glyph, so that text can be searched and copied.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO

from PIL import Image

from cxr_node.report.pages.truetype import TrueTypeFont, font_of, subset
from cxr_node.report.pictures.typeface import Color, Typeface

A4 = (595.28, 841.89)
"""Width and height in points."""
_UNITS = 1000
_BASELINE = 0.88
"""Of the font size, below the upper edge of a line."""
_BOLD = 0.035
"""Of the font size: width of the stroke around bold letters."""
_JPEG_QUALITY = 90
_NON_SYMBOLIC = 32


@dataclass(slots=True, kw_only=True)
class Page:
    """A page of A4; positions are in points from its upper left corner."""

    typeface: Typeface
    _content: list[str] = field(init=False, default_factory=list)
    _images: list[tuple[bytes, Image.Image]] = field(init=False, default_factory=list)
    _used: dict[str, dict[int, str]] = field(init=False, default_factory=dict)

    def text(
        self, left: float, top: float, line: str, size: float, color: Color = (0, 0, 0), *, bold: bool = False
    ) -> None:
        """Write a line with its upper left corner at (`left`, `top`)."""
        parts = []
        for face, run in self.typeface.runs(line):
            font, used = font_of(face), self._used.setdefault(face, {})
            glyphs = [font.glyphs.get(ord(letter), 0) for letter in run]
            used.update(
                {glyph: min(letter, used.get(glyph, letter)) for glyph, letter in zip(glyphs, run, strict=True)}
            )
            parts.append(f"/{face} {_number(size)} Tf <{''.join(f'{glyph:04X}' for glyph in glyphs)}> Tj")
        stroke = f"{_number(size * _BOLD)} w {_color(color)} RG 2 Tr" if bold else "0 Tr"
        at = f"{_number(left)} {_number(A4[1] - top - _BASELINE * size)} Td"
        self._content.append(f"BT {_color(color)} rg {stroke} {at} {' '.join(parts)} ET")

    def rectangle(self, left: float, top: float, width: float, height: float, color: Color) -> None:
        """Fill a rectangle."""
        bottom = A4[1] - top - height
        box = " ".join(_number(value) for value in (left, bottom, width, height))
        self._content.append(f"{_color(color)} rg {box} re f")

    def image(self, picture: Image.Image, left: float, top: float, width: float, height: float) -> None:
        """Put a picture, gray or red, green and blue, into a rectangle."""
        target = BytesIO()
        picture.save(target, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        self._images.append((target.getvalue(), picture))
        matrix = " ".join(_number(value) for value in (width, 0, 0, height, left, A4[1] - top - height))
        self._content.append(f"q {matrix} cm /image{len(self._images)} Do Q")

    def finished(self, *, title: str, language: str, producer: str) -> bytes:
        """Return the PDF file; `language` is a tag of RFC 5646."""
        objects = _Objects()
        fonts = {face: _add_font(objects, font_of(face), used) for face, used in sorted(self._used.items())}
        images = {
            f"image{number}": _add_image(objects, jpeg, picture)
            for number, (jpeg, picture) in enumerate(self._images, start=1)
        }
        content = objects.add_stream({}, "\n".join(self._content).encode("ascii"))
        pages = objects.reserve()
        resources = f"<< /Font {_references(fonts)} /XObject {_references(images)} >>"
        box = f"[0 0 {_number(A4[0])} {_number(A4[1])}]"
        page = objects.add(
            f"<< /Type /Page /Parent {pages} 0 R /MediaBox {box} /Resources {resources} /Contents {content} 0 R >>"
        )
        objects.put(pages, f"<< /Type /Pages /Kids [{page} 0 R] /Count 1 >>")
        viewing = "/ViewerPreferences << /DisplayDocTitle true >>"
        catalog = objects.add(f"<< /Type /Catalog /Pages {pages} 0 R /Lang {_string(language)} {viewing} >>")
        information = objects.add(f"<< /Title {_string(title)} /Producer {_string(producer)} >>")
        return objects.file(catalog, information)


def text_width(typeface: Typeface, line: str) -> float:
    """Return the width of a line in thousandths of the font size."""
    widths = 0
    for face, run in typeface.runs(line):
        font = font_of(face)
        widths += sum(font.widths[font.glyphs.get(ord(letter), 0)] for letter in run)
    return widths


class _Objects:
    """Indirect objects, numbered from 1."""

    def __init__(self) -> None:
        self._bodies: list[bytes] = []

    def reserve(self) -> int:
        self._bodies.append(b"")
        return len(self._bodies)

    def put(self, number: int, body: str) -> None:
        self._bodies[number - 1] = body.encode("ascii")

    def add(self, body: str) -> int:
        self._bodies.append(body.encode("ascii"))
        return len(self._bodies)

    def add_stream(self, entries: Mapping[str, str], content: bytes, *, encoded: bool = False) -> int:
        """Add a stream; content that is not `encoded` yet is compressed."""
        stream = content if encoded else zlib.compress(content, 9)
        filters = {} if encoded else {"Filter": "/FlateDecode"}
        all_entries = {**entries, **filters, "Length": str(len(stream))}
        dictionary = " ".join(f"/{key} {value}" for key, value in all_entries.items())
        self._bodies.append(f"<< {dictionary} >>\nstream\n".encode("ascii") + stream + b"\nendstream")
        return len(self._bodies)

    def file(self, catalog: int, information: int) -> bytes:
        """Return the file with its table of objects (section 7.5)."""
        content = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
        entries = ["0000000000 65535 f \n"]
        for number, body in enumerate(self._bodies, start=1):
            entries.append(f"{len(content):010d} 00000 n \n")
            content += f"{number} 0 obj\n".encode("ascii") + body + b"\nendobj\n"
        identifier = sha256(content).hexdigest()[:32].upper()
        start = len(content)
        trailer = (
            f"/Size {len(entries)} /Root {catalog} 0 R /Info {information} 0 R /ID [<{identifier}> <{identifier}>]"
        )
        content += f"xref\n0 {len(entries)}\n{''.join(entries)}".encode("ascii")
        content += f"trailer\n<< {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode("ascii")
        return bytes(content)


def _add_font(objects: _Objects, font: TrueTypeFont, used: Mapping[int, str]) -> int:
    """Add a font of two-byte glyph numbers (section 9.7) with the glyphs that the page uses."""
    embedded = subset(font, used)
    program = objects.add_stream({"Length1": str(len(embedded))}, embedded)
    name = f"/{_tag(embedded)}+{font.name}"
    box = " ".join(map(str, font.box))
    descriptor = objects.add(
        f"<< /Type /FontDescriptor /FontName {name} /Flags {_NON_SYMBOLIC} /FontBBox [{box}] /ItalicAngle 0 "
        f"/Ascent {font.ascent} /Descent {font.descent} /CapHeight {font.ascent} /StemV 80 /FontFile2 {program} 0 R >>"
    )
    widths = " ".join(f"{glyph} [{font.widths[glyph]}]" for glyph in sorted(used))
    system = "<< /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"
    descendant = objects.add(
        f"<< /Type /Font /Subtype /CIDFontType2 /BaseFont {name} /CIDSystemInfo {system} "
        f"/FontDescriptor {descriptor} 0 R /DW {_UNITS} /W [{widths}] /CIDToGIDMap /Identity >>"
    )
    characters = objects.add_stream({}, _characters(used))
    return objects.add(
        f"<< /Type /Font /Subtype /Type0 /BaseFont {name} /Encoding /Identity-H "
        f"/DescendantFonts [{descendant} 0 R] /ToUnicode {characters} 0 R >>"
    )


def _tag(embedded: bytes) -> str:
    """Return six letters that name a subset (section 9.6.4)."""
    return "".join(chr(ord("A") + byte % 26) for byte in sha256(embedded).digest()[:6])


def _characters(used: Mapping[int, str]) -> bytes:
    """Return the map from glyphs to characters (section 9.10.3), at most 100 entries in each part."""
    entries = [f"<{glyph:04X}> <{letter.encode('utf-16-be').hex().upper()}>" for glyph, letter in sorted(used.items())]
    parts = [entries[start : start + 100] for start in range(0, len(entries), 100)]
    lines = [
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
        "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
        "1 begincodespacerange <0000> <FFFF> endcodespacerange",
        *(line for part in parts for line in (f"{len(part)} beginbfchar", *part, "endbfchar")),
        "endcmap CMapName currentdict /CMap defineresource pop end end",
    ]
    return "\n".join(lines).encode("ascii")


def _add_image(objects: _Objects, jpeg: bytes, picture: Image.Image) -> int:
    space = "/DeviceGray" if picture.mode == "L" else "/DeviceRGB"
    entries = {
        "Type": "/XObject",
        "Subtype": "/Image",
        "Width": str(picture.width),
        "Height": str(picture.height),
        "ColorSpace": space,
        "BitsPerComponent": "8",
        "Filter": "/DCTDecode",
    }
    return objects.add_stream(entries, jpeg, encoded=True)


def _references(numbers: Mapping[str, int]) -> str:
    return f"<< {' '.join(f'/{name} {number} 0 R' for name, number in numbers.items())} >>"


def _string(text: str) -> str:
    """Return a text string in UTF-16 (section 7.9.2.2)."""
    return f"<FEFF{text.encode('utf-16-be').hex().upper()}>"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _color(color: Color) -> str:
    return " ".join(f"{part / 255:.3f}" for part in color)
