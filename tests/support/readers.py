"""Independent readers of results: highdicom, dcmqi, and DCMTK's dsr2html. Each raises or returns what it read."""

import json
import sys
from html import unescape
from pathlib import Path

import highdicom
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.support import peers
from tests.support.validators import run

_TID_1500 = "126000"


def read_by_highdicom(path: Path) -> int:
    """Return how many groups, segments, references or images highdicom reads in an object; 0 of other kinds."""
    dataset = dcmread(path)
    match dataset.Modality:
        case "SR" if is_measurement_report(dataset):
            content = highdicom.sr.srread(path).content
            assert isinstance(content, highdicom.sr.MeasurementReport)
            images, regions = content.get_image_measurement_groups(), content.get_planar_roi_measurement_groups()
            for group in (*images, *regions):
                group.get_measurements()
                group.get_qualitative_evaluations()
            return len(images) + len(regions)
        case "SEG":
            return int(highdicom.seg.segread(path).number_of_segments)
        case "KO":
            document = highdicom.ko.KeyObjectSelectionDocument.from_dataset(dataset)
            return len(document.content.get_references())
        case "OT":
            return len(highdicom.imread(path).get_frame(1).shape) - 1
        case _:
            return 0


def read_by_dcmqi(path: Path) -> int:
    """Return how many measurement groups dcmqi's tid1500reader finds in a report."""
    out = path.with_suffix(".json")
    completed = run(Path(sys.prefix) / "bin" / "tid1500reader", "--inputDICOM", path, "--outputMetadata", out)
    assert completed.returncode == 0, completed.stderr
    return len(json.loads(out.read_text(encoding="utf-8"))["Measurements"])


def segment_by_dcmqi(path: Path, folder: Path) -> str:
    """Return the error with which dcmqi's segimage2itkimage refuses a segmentation, or "" if it reads it."""
    program = Path(sys.prefix) / "bin" / "segimage2itkimage"
    completed = run(program, "--inputDICOM", path, "--outputDirectory", folder)
    return "" if completed.returncode == 0 else completed.stdout + completed.stderr


def read_by_dsr2html(path: Path) -> str:
    """Return a document as DCMTK shows it in a browser."""
    out = path.with_suffix(".html")
    completed = run(peers.program("dsr2html"), path, out)
    assert completed.returncode == 0, completed.stderr
    return unescape(out.read_text(encoding="utf-8"))


def is_measurement_report(document: Dataset) -> bool:
    """Whether it is an Imaging Measurement Report."""
    names = document.get("ConceptNameCodeSequence")
    return bool(names) and str(names[0].CodeValue) == _TID_1500
