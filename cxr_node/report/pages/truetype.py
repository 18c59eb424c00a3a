"""TrueType fonts for embedding: glyphs of characters, advance widths, and subsets (OpenType 1.9, glyf outlines). Pure.

Only the fonts of the package are read, so tables are taken to be sound.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from cxr_node.report.pictures.typeface import content

_TABLES = ("head", "hhea", "maxp", "hmtx", "loca", "glyf")
"""Tables of a font that a PDF file embeds with glyph numbers instead of characters (ISO 32000-1 section 9.9)."""
_CHECKSUM_MAGIC = 0xB1B0AFBA
_ARE_WORDS, _HAS_SCALE, _MORE, _HAS_TWO_SCALES, _HAS_MATRIX = 0x1, 0x8, 0x20, 0x40, 0x80


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrueTypeFont:
    """A parsed font. Lengths are thousandths of the font size.

    `glyphs` has the glyph of each code point, `widths` the advance width of each glyph, `box` the bounding box of all
    glyphs as (left, bottom, right, top).
    """

    name: str
    tables: Mapping[str, bytes]
    glyphs: Mapping[int, int]
    widths: tuple[int, ...]
    offsets: tuple[int, ...]
    box: tuple[int, int, int, int]
    ascent: int
    descent: int

    def outline(self, glyph: int) -> bytes:
        """Return the outline of a glyph as stored; empty for a space."""
        return self.tables["glyf"][self.offsets[glyph] : self.offsets[glyph + 1]]


@cache
def font_of(face: str) -> TrueTypeFont:
    """Return a face of `typeface.FILES`, which has 1000 units per em."""
    return parse(content(face))


def parse(font_file: bytes) -> TrueTypeFont:
    """Return a font whose outlines are quadratic.

    Raises
    ------
    ValueError
        If the font has other than 1000 units per em, or no table of characters of format 4.
    """
    (count,) = struct.unpack_from(">H", font_file, 4)
    records = [struct.unpack_from(">4sIII", font_file, 12 + 16 * number) for number in range(count)]
    tables = {tag.decode("ascii"): font_file[start : start + length] for tag, _, start, length in records}
    head, hhea = tables["head"], tables["hhea"]
    (units,) = struct.unpack_from(">H", head, 18)
    if units != 1000:
        raise ValueError(f"{units} units per em, not 1000")
    (glyph_count,) = struct.unpack_from(">H", tables["maxp"], 4)
    ascent, descent = struct.unpack_from(">hh", hhea, 4)
    return TrueTypeFont(
        name=_post_script_name(tables["name"]),
        tables=tables,
        glyphs=_glyphs(tables["cmap"]),
        widths=_widths(tables["hmtx"], struct.unpack_from(">H", hhea, 34)[0], glyph_count),
        offsets=_offsets(tables["loca"], glyph_count, is_long=head[51] == 1),
        box=struct.unpack_from(">hhhh", head, 36),
        ascent=ascent,
        descent=descent,
    )


def subset(font: TrueTypeFont, glyphs: Iterable[int]) -> bytes:
    """Return a font file with the outlines of `glyphs` and their components; glyph numbers stay as they are."""
    wanted = _with_components(font, {0, *glyphs})
    outlines = [font.outline(glyph) if glyph in wanted else b"" for glyph in range(len(font.widths))]
    padded = [outline + b"\0" * (-len(outline) % 4) for outline in outlines]
    offsets = [0]
    for outline in padded:
        offsets.append(offsets[-1] + len(outline))
    head = bytearray(font.tables["head"])
    head[8:12] = bytes(4)  # checkSumAdjustment, which is set for the whole file
    head[50:52] = struct.pack(">h", 1)  # indexToLocFormat: long
    tables = {
        **font.tables,
        "head": bytes(head),
        "loca": struct.pack(f">{len(offsets)}I", *offsets),
        "glyf": b"".join(padded),
    }
    return _font_file({tag: tables[tag] for tag in _TABLES})


def _font_file(tables: Mapping[str, bytes]) -> bytes:
    power = len(tables).bit_length() - 1
    search = 16 << power
    start = 12 + 16 * len(tables)
    records, bodies = [], []
    for tag, table in sorted(tables.items()):
        body = table + b"\0" * (-len(table) % 4)
        records.append(struct.pack(">4sIII", tag.encode("ascii"), _checksum(body), start, len(table)))
        bodies.append(body)
        start += len(body)
    directory = struct.pack(">IHHHH", 0x00010000, len(tables), search, power, 16 * len(tables) - search)
    font_file = bytearray(b"".join([directory, *records, *bodies]))
    head = next(struct.unpack(">4sIII", record)[2] for record in records if record.startswith(b"head"))
    struct.pack_into(">I", font_file, head + 8, (_CHECKSUM_MAGIC - _checksum(bytes(font_file))) & 0xFFFFFFFF)
    return bytes(font_file)


def _checksum(padded: bytes) -> int:
    words: tuple[int, ...] = struct.unpack(f">{len(padded) // 4}I", padded)
    return sum(words) & 0xFFFFFFFF


def _with_components(font: TrueTypeFont, glyphs: set[int]) -> set[int]:
    reached: set[int] = set()
    waiting = sorted(glyphs)
    while waiting:
        glyph = waiting.pop()
        if glyph not in reached:
            reached.add(glyph)
            waiting.extend(_components(font.outline(glyph)))
    return reached


def _components(outline: bytes) -> Iterator[int]:
    """Yield the glyphs that a composite outline is made of."""
    if not outline or struct.unpack_from(">h", outline)[0] >= 0:
        return
    position, flags = 10, _MORE
    while flags & _MORE:
        flags, glyph = struct.unpack_from(">HH", outline, position)
        yield glyph
        position += 8 if flags & _ARE_WORDS else 6
        position += 2 if flags & _HAS_SCALE else 4 if flags & _HAS_TWO_SCALES else 8 if flags & _HAS_MATRIX else 0


def _glyphs(cmap: bytes) -> dict[int, int]:
    """Return the glyph of each character of the table for Windows' Unicode (platform 3, encoding 1)."""
    (count,) = struct.unpack_from(">H", cmap, 2)
    records = [struct.unpack_from(">HHI", cmap, 4 + 8 * number) for number in range(count)]
    start = next((start for platform, encoding, start in records if (platform, encoding) == (3, 1)), 0)
    if not start or struct.unpack_from(">H", cmap, start)[0] != 4:
        raise ValueError("no table of characters of format 4")
    segments = struct.unpack_from(">H", cmap, start + 6)[0] // 2
    at = start + 14
    ends = struct.unpack_from(f">{segments}H", cmap, at)
    starts = struct.unpack_from(f">{segments}H", cmap, at + 2 * segments + 2)
    deltas = struct.unpack_from(f">{segments}H", cmap, at + 4 * segments + 2)
    ranges_at = at + 6 * segments + 2
    ranges = struct.unpack_from(f">{segments}H", cmap, ranges_at)
    glyphs: dict[int, int] = {}
    for segment, (first, last) in enumerate(zip(starts, ends, strict=True)):
        for code in range(first, last + 1):
            glyph = code
            if ranges[segment]:
                offset = ranges_at + 2 * segment + ranges[segment] + 2 * (code - first)
                (glyph,) = struct.unpack_from(">H", cmap, offset) if offset + 2 <= len(cmap) else (0,)
            if glyph and code != 0xFFFF:
                glyphs[code] = (glyph + deltas[segment]) & 0xFFFF
    return glyphs


def _widths(hmtx: bytes, stated: int, glyph_count: int) -> tuple[int, ...]:
    """Return all advance widths; glyphs after those stated have the last one."""
    widths = struct.unpack_from(">" + "Hh" * stated, hmtx)[::2]
    return (*widths, *[widths[-1]] * (glyph_count - stated))


def _offsets(loca: bytes, glyph_count: int, *, is_long: bool) -> tuple[int, ...]:
    if is_long:
        return struct.unpack_from(f">{glyph_count + 1}I", loca)
    return tuple(2 * half for half in struct.unpack_from(f">{glyph_count + 1}H", loca))


def _post_script_name(table: bytes) -> str:
    """Return name 6 of the table of names."""
    _, count, strings = struct.unpack_from(">HHH", table)
    for number in range(count):
        platform, _, _, name, length, start = struct.unpack_from(">HHHHHH", table, 6 + 12 * number)
        if (platform, name) == (3, 6):
            return table[strings + start : strings + start + length].decode("utf-16-be")
    raise ValueError("no PostScript name")
