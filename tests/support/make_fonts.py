"""Subset fonts of the results. `python -m tests.support.make_fonts FOLDER` writes them anew from Noto Sans CJK.

FOLDER has NotoSansCJK-Regular.ttc of release 2.004, NotoSans-Regular.ttf and their license, OFL.txt: they are in
Debian's fonts-noto-cjk and fonts-noto-core. Outlines become quadratic (TrueType), because the writer of PDF files
takes no others; hints and layout tables are left out.
"""

import sys
from pathlib import Path

from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont, newTable

from tests.support.films import ROOT

FONTS = ROOT / "cxr_node" / "report" / "fonts"
FACES = {"jp": (0, "euc_jp"), "sc": (2, "gb2312")}
"""File ending to the face in the collection, and the national character set that the face is for."""

_LATIN_1 = (*range(0x20, 0x7F), *range(0xA0, 0x100))
_SIGNS = tuple(map(ord, "–—‘’“”…"))
_OTHERS = (*range(0x100, 0x250), *range(0x370, 0x460), *range(0x1E00, 0x1F00))
"""Latin letters of other languages, Greek and Cyrillic: for names."""
_LARGEST_ERROR = 1.0
"""Of a quadratic outline, in thousandths of the font size."""


def characters(encoding: str) -> set[int]:
    """Return the code points of Latin-1, and those of a two-byte national character set."""
    lead = range(0xA1, 0xFF)
    pairs = (bytes([first, second]).decode(encoding, "ignore") for first in lead for second in lead)
    halfwidth = range(0xFF61, 0xFFA0) if encoding == "euc_jp" else ()
    return {*_LATIN_1, *_SIGNS, *halfwidth, *(ord(text) for text in pairs if len(text) == 1)}


def subset(collection: Path, face: int, encoding: str) -> TTFont:
    """Return a face of a collection, reduced to the characters of an encoding, with quadratic outlines."""
    font = TTFont(collection, fontNumber=face)
    options = Options(layout_features=[], hinting=False, desubroutinize=True, notdef_outline=True)
    options.drop_tables += ["VORG", "vhea", "vmtx", "BASE", "GSUB", "GPOS", "GDEF"]
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=characters(encoding))
    subsetter.subset(font)
    _make_quadratic(font)
    return font


def letters(path: Path) -> TTFont:
    """Return a font reduced to the letters that Noto Sans CJK lacks."""
    font = TTFont(path)
    subsetter = Subsetter(Options(layout_features=[], hinting=False, notdef_outline=True))
    subsetter.populate(unicodes=_OTHERS)
    subsetter.subset(font)
    return font


def _make_quadratic(font: TTFont) -> None:
    order, glyphs = font.getGlyphOrder(), font.getGlyphSet()
    outlines = {}
    for name in order:
        pen = TTGlyphPen(None)
        glyphs[name].draw(Cu2QuPen(pen, _LARGEST_ERROR, reverse_direction=True))
        outlines[name] = pen.glyph()
    del font["CFF "]
    font["loca"], font["glyf"] = newTable("loca"), newTable("glyf")
    font["glyf"].glyphOrder, font["glyf"].glyphs = order, outlines
    _write_headers(font)


def _write_headers(font: TTFont) -> None:
    for name, (width, _) in list(font["hmtx"].metrics.items()):
        glyph = font["glyf"][name]
        glyph.recalcBounds(font["glyf"])
        font["hmtx"].metrics[name] = (width, getattr(glyph, "xMin", 0) if glyph.numberOfContours else 0)
    maxp = font["maxp"]
    maxp.tableVersion = 0x00010000
    for name in ("maxTwilightPoints", "maxStorage", "maxFunctionDefs", "maxInstructionDefs", "maxStackElements"):
        setattr(maxp, name, 0)
    maxp.maxZones, maxp.maxSizeOfInstructions, maxp.maxComponentElements = 1, 0, 0
    font["post"].formatType, font.sfntVersion = 3.0, "\000\001\000\000"
    font["head"].glyphDataFormat, font.recalcTimestamp = 0, False


def main(folder: Path) -> None:
    """Write the fonts and their license."""
    for ending, (face, encoding) in FACES.items():
        subset(folder / "NotoSansCJK-Regular.ttc", face, encoding).save(FONTS / f"noto-sans-cjk-{ending}.ttf")
    letters(folder / "NotoSans-Regular.ttf").save(FONTS / "noto-sans-letters.ttf")
    (FONTS / "OFL.txt").write_bytes((folder / "OFL.txt").read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
