"""Content of results for the page: trees, graphics of presentation states, segments, pictures. Pure.

A result is an object of this node. Nothing of its header that names a patient is taken from it.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import JPEGBaseline8Bit

from cxr_node.domain.hanging import Turn
from cxr_node.domain.reading import Point
from cxr_node.report.sr import tree

COLORS = ("#56b4e9", "#e69f00", "#f0e442", "#cc79a7", "#009e73", "#d55e00", "#0072b2", "#ffffff")
"""Colors of layers and segments in turn; each can be told from the others with any color vision (Okabe and Ito)."""
_LONGEST_SIDE = 1600
_OPACITY = 110
_COORDINATES = 2


class ContentKind(StrEnum):
    """How a result is shown."""

    TREE = "tree"
    GRAPHICS = "graphics"
    SEGMENTS = "segments"
    DOCUMENT = "document"
    PICTURE = "picture"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphic:
    """A line over the film: its SVG path."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A text over the film, one line for each element, at a point of it; None if it has a place on the screen."""

    at: Point | None
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphicLayer:
    """A graphic layer (PS3.3 section C.10.7) with its graphics, turned as the film hangs."""

    name: str
    description: str
    color: str
    graphics: tuple[Graphic, ...]
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSegment:
    """A segment of a segmentation (PS3.3 section C.8.20.2)."""

    number: int
    label: str
    algorithm: str
    color: str


def kind_of(dataset: Dataset) -> ContentKind:
    """Return how an object is shown."""
    keywords = {
        "ContentSequence": ContentKind.TREE,
        "GraphicAnnotationSequence": ContentKind.GRAPHICS,
        "SegmentSequence": ContentKind.SEGMENTS,
        "EncapsulatedDocument": ContentKind.DOCUMENT,
        "PixelData": ContentKind.PICTURE,
    }
    return next((kind for keyword, kind in keywords.items() if keyword in dataset), ContentKind.OTHER)


def film_uids(dataset: Dataset) -> list[str]:
    """Return the SOP Instance UIDs of the films that a result is of, each once."""
    items: list[Dataset] = [
        *dataset.get("SourceImageSequence", ()),
        *dataset.get("SourceInstanceSequence", ()),
        *(
            reference
            for series in dataset.get("ReferencedSeriesSequence", ())
            for keyword in ("ReferencedImageSequence", "ReferencedInstanceSequence")
            for reference in series.get(keyword, ())
        ),
    ]
    if "ContentSequence" in dataset:
        images = (item for _, item in tree.items(dataset) if item.ValueType == "IMAGE")
        items += [reference for image in images for reference in image.ReferencedSOPSequence]
    return list(dict.fromkeys(str(item.ReferencedSOPInstanceUID) for item in items))


def graphic_layers(dataset: Dataset, turn: Turn) -> list[GraphicLayer]:
    """Return the layers of a presentation state, in pixels of the film as it hangs.

    `turn` is that of the film, whose own pixels the state has (PS3.3 section C.10.5).
    """
    descriptions = {
        str(layer.GraphicLayer): str(layer.get("GraphicLayerDescription", ""))
        for layer in dataset.get("GraphicLayerSequence", ())
    }
    return [
        GraphicLayer(
            name=str(annotation.GraphicLayer),
            description=descriptions.get(str(annotation.GraphicLayer), ""),
            color=COLORS[number % len(COLORS)],
            graphics=tuple(_graphics(annotation, turn)),
            labels=tuple(_labels(annotation, turn)),
        )
        for number, annotation in enumerate(dataset.GraphicAnnotationSequence)
    ]


def segments(dataset: Dataset) -> list[ShownSegment]:
    """Return the segments of a segmentation."""
    return [
        ShownSegment(
            number=int(segment.SegmentNumber),
            label=str(segment.SegmentLabel),
            algorithm=str(segment.get("SegmentAlgorithmName", "")),
            color=COLORS[number % len(COLORS)],
        )
        for number, segment in enumerate(dataset.SegmentSequence)
    ]


def segments_png(dataset: Dataset, turn: Turn) -> bytes:
    """Return all segments of a binary segmentation over each other as a transparent PNG of the film as it hangs.

    One frame is unpacked at a time, and reduced to a longest side of 1600 pixels. Smaller segments lie
    over larger ones.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    step = max(1, -(-max(rows, columns) // _LONGEST_SIDE))
    packed = np.frombuffer(dataset.PixelData, np.uint8)
    shown = np.zeros((-(-rows // step), -(-columns // step)), np.uint8)
    masks = [_frame(packed, number, rows, columns)[::step, ::step].copy() for number in range(dataset.NumberOfFrames)]
    for number in sorted(range(len(masks)), key=lambda number: -np.count_nonzero(masks[number])):
        shown[masks[number]] = 1 + number % len(COLORS)
    hanging = np.ascontiguousarray(turn.orientation.of_pixels(shown))
    image = Image.fromarray(hanging, "P")
    image.putpalette([0, 0, 0, *(part for color in COLORS for part in bytes.fromhex(color[1:]))])
    content = io.BytesIO()
    image.save(content, "PNG", transparency=bytes([0, *[_OPACITY] * len(COLORS)]))
    return content.getvalue()


def picture(dataset: Dataset) -> tuple[bytes, str]:
    """Return the picture of a Secondary Capture for a browser, and its media type."""
    if dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit:
        return get_frame(dataset.PixelData, 0, number_of_frames=1), "image/jpeg"
    samples = int(dataset.SamplesPerPixel)
    mode = "RGB" if samples > 1 else "L"
    image = Image.frombytes(mode, (int(dataset.Columns), int(dataset.Rows)), bytes(dataset.PixelData), "raw")
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue(), "image/png"


def document(dataset: Dataset) -> bytes:
    """Return the document of an Encapsulated PDF."""
    content = bytes(dataset.EncapsulatedDocument)
    return content[: int(dataset.get("EncapsulatedDocumentLength", len(content)))]


def _frame(packed: npt.NDArray[np.uint8], number: int, rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """Return a frame of packed bits (PS3.5 section 8.1.1); frames follow each other without padding."""
    first = number * rows * columns
    start, offset = divmod(first, 8)
    end = -(-(first + rows * columns) // 8)
    bits = np.unpackbits(packed[start:end], bitorder="little")[offset : offset + rows * columns]
    return bits.reshape(rows, columns).astype(np.bool_)


def _graphics(annotation: Dataset, turn: Turn) -> Iterator[Graphic]:
    for graphic in annotation.get("GraphicObjectSequence", ()):
        points = _turned(list(graphic.GraphicData), turn)
        if len(points) > 1:
            yield Graphic(path="M" + " L".join(f"{column:.1f} {row:.1f}" for column, row in points))
        else:
            ((column, row),) = points
            yield Graphic(path=_cross(column, row, arm=max(turn.shape) / 80))


def _cross(column: float, row: float, *, arm: float) -> str:
    return f"M{column - arm:.1f} {row:.1f} h{2 * arm:.1f} M{column:.1f} {row - arm:.1f} v{2 * arm:.1f}"


def _labels(annotation: Dataset, turn: Turn) -> Iterator[Label]:
    for text in annotation.get("TextObjectSequence", ()):
        place = text.get("BoundingBoxTopLeftHandCorner") or text.AnchorPoint
        units = text.get("BoundingBoxAnnotationUnits") or text.get("AnchorPointAnnotationUnits")
        at = None if units == "DISPLAY" else _turned(list(place), turn)[0]
        yield Label(at=at, lines=tuple(str(text.UnformattedTextValue).splitlines()))


def _turned(values: Sequence[float], turn: Turn) -> tuple[Point, ...]:
    pairs: Iterable[Point] = [(float(values[at]), float(values[at + 1])) for at in range(0, len(values), _COORDINATES)]
    return turn.points(tuple(pairs))
