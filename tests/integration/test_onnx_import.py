"""`cxr-node bundle import-onnx`: from a file to a bundle, and preparations that differ are named."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from typer.testing import CliRunner, Result

from cxr_node.cli import app
from cxr_node.infer import bundle
from cxr_node.infer.reader import Reader
from cxr_node.pixels import film as pixels
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from tests.support import pixel_films

onnxruntime = pytest.importorskip("onnxruntime")
onnx_models = pytest.importorskip("tests.support.onnx_models")

SIDE = 64
LABELS = ("Effusion", "Cardiomegaly", "Mass")
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
ANSWERS = {
    "size": f"{SIDE}x{SIDE}",
    "labels": ",".join(LABELS),
    "licence": "Apache-2.0",
    "manufacturer": "The tests",
    "kernel": "bilinear",
}


def displayed(path: Path) -> Any:
    """Return a film as the node displays it, 0.0 to 1.0, shape (rows, columns)."""
    dataset = parse(path.read_bytes())
    return pixels.radiograph(dataset, limits=Limits()).p_values / 65535


def stored(path: Path) -> Any:
    """Return a film as a pipeline reads it that applies neither VOI LUT nor polarity."""
    from pydicom import dcmread

    return dcmread(path).pixel_array / 4095


def resized(film: Any, how: Image.Resampling = Image.Resampling.BILINEAR, size: int = SIDE) -> Any:
    return np.asarray(Image.fromarray(film.astype(np.float32)).resize((size, size), how)).astype(np.float64)


def normalised(film: Any) -> Any:
    return (film[None] - MEAN[:, None, None]) / DEVIATION[:, None, None]


def cropped(film: Any) -> Any:
    """Return a film with its shorter side resized to 64, and the middle."""
    rows, columns = film.shape
    height, width = int(SIDE * rows / min(rows, columns)), int(SIDE * columns / min(rows, columns))
    whole = np.asarray(Image.fromarray(film.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
    top, left = round((height - SIDE) / 2), round((width - SIDE) / 2)
    return whole[top : top + SIDE, left : left + SIDE].astype(np.float64)


def letterboxed(film: Any) -> Any:
    rows, columns = film.shape
    height, width = round(rows * SIDE / max(rows, columns)), round(columns * SIDE / max(rows, columns))
    whole = np.asarray(Image.fromarray(film.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
    framed = np.zeros((SIDE, SIDE))
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    framed[top : top + height, left : left + width] = whole
    return framed


def interpolated(film: Any) -> Any:
    """Return a film resized by torch without antialiasing."""
    batch = torch.from_numpy(film.astype(np.float32))[None, None]
    return functional.interpolate(batch, (SIDE, SIDE), mode="bilinear", align_corners=False)[0, 0].double().numpy()


def min_max(film: Any) -> Any:
    return (film - film.min()) / (film.max() - film.min())


def percentile(film: Any) -> Any:
    low, high = np.percentile(film, (1, 99))
    return np.clip((film - low) / (high - low), 0, 1)


def sigmoid(values: Any) -> Any:
    return 1 / (1 + np.exp(-values))


@dataclass(frozen=True)
class Fault:
    """A pipeline that differs from the answers in one step: its input, its scores, and words that name the step."""

    prepared: Callable[[Path], Any]
    named: str
    scored: Callable[[Any], Any] = sigmoid
    last: str = ""


FAULTS = {
    "inverted": Fault(lambda path: normalised(1 - resized(displayed(path))), "inverted"),
    "0-255": Fault(lambda path: normalised(255 * resized(displayed(path))), "0 to 255"),
    "no mean and deviation": Fault(
        lambda path: np.repeat(resized(displayed(path))[None], 3, 0), "no mean is subtracted"
    ),
    "mean 0.5": Fault(lambda path: np.repeat(2 * resized(displayed(path))[None] - 1, 3, 0), "deviation are 0.5"),
    "bicubic": Fault(lambda path: normalised(resized(displayed(path), Image.Resampling.BICUBIC)), "bicubic with"),
    "nearest": Fault(lambda path: normalised(resized(displayed(path), Image.Resampling.NEAREST)), "pixel centers"),
    "no antialiasing": Fault(lambda path: normalised(interpolated(displayed(path))), "bilinear without antialiasing"),
    "center crop": Fault(lambda path: normalised(cropped(displayed(path))), "middle cropped"),
    "letterbox": Fault(lambda path: normalised(letterboxed(displayed(path))), "letterbox"),
    "channels reversed": Fault(lambda path: normalised(resized(displayed(path)))[::-1], "blue, green, red"),
    "no copies": Fault(
        lambda path: normalised(resized(displayed(path))) * np.array([1, 0, 0])[:, None, None], "no copies of gray"
    ),
    "MONOCHROME1 not inverted": Fault(
        lambda path: normalised(resized(1 - displayed(path) if path.name == "0.dcm" else displayed(path))),
        "MONOCHROME1 films are not inverted",
    ),
    "no VOI LUT": Fault(
        lambda path: normalised(resized(1 - stored(path) if path.name == "0.dcm" else stored(path))),
        "VOI LUT (window) is not applied",
    ),
    "min-max": Fault(lambda path: normalised(resized(min_max(displayed(path)))), "minimum to its maximum"),
    "percentiles": Fault(lambda path: normalised(resized(percentile(displayed(path)))), "percentiles 1 and 99"),
    "sigmoid missing": Fault(
        lambda path: normalised(resized(displayed(path))), "the sigmoid is missing", scored=lambda values: values
    ),
    "sigmoid twice": Fault(
        lambda path: normalised(resized(displayed(path))), "sigmoid is applied twice", last="Sigmoid"
    ),
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three films with wide windows, the first MONOCHROME1, of different proportions."""
    folder = tmp_path_factory.mktemp("films")
    generator = np.random.default_rng(4)
    for number in range(3):
        cells = pixel_films.chest(rows=150 + 16 * number, columns=128, bits=12).astype(np.int64)
        cells = np.clip(cells + generator.normal(0, 150, cells.shape) + 200 * number, 0, 4095).astype(np.uint16)
        changes = {"WindowCenter": 2100, "WindowWidth": 5400 - 300 * number}
        if number == 0:
            changes["PhotometricInterpretation"] = "MONOCHROME1"  # type: ignore[assignment]  # values of any type
        dataset = pixel_films.data_set(cells, changes=changes)
        (folder / f"{number}.dcm").write_bytes(pixel_films.written(dataset))
    return folder


def scores_file(folder: Path, films: Path, content: bytes, fault: Fault) -> Path:
    """Write the scores of a pipeline with a fault, run by ONNX Runtime."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rows = []
    for path in sorted(films.glob("*.dcm")):
        prepared = fault.prepared(path)[None].astype(np.float32)
        (output,) = session.run(None, {"x": prepared})
        for label, score in zip(LABELS, fault.scored(output[0].astype(np.float64)), strict=True):
            rows.append({"file": path.name, "label": label, "score": float(score)})
    target = folder / "scores.csv"
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file", "label", "score"])
        writer.writeheader()
        writer.writerows(rows)
    return target


def imported(file: Path, to: Path, *options: object, answers: Mapping[str, str] | None = None) -> Result:
    by_key = [f"--answer={key}={value}" for key, value in {**ANSWERS, **(answers or {})}.items()]
    return CliRunner().invoke(
        app.app, ["bundle", "import-onnx", str(file), "--to", str(to), *by_key, *map(str, options)]
    )


def model(folder: Path, **options: Any) -> tuple[Path, bytes]:
    content = onnx_models.classifier(side=SIDE, labels=len(LABELS), **options)
    file = folder / "net.onnx"
    file.write_bytes(content)
    return file, content


def correct(path: Path) -> Any:
    return normalised(resized(displayed(path)))


@pytest.mark.parametrize("name", FAULTS)
def test_planted_preparation_fault_is_named(name: str, films: Path, tmp_path: Path) -> None:
    fault = FAULTS[name]
    file, content = model(tmp_path, last=fault.last)
    scores = scores_file(tmp_path, films, content, fault)

    result = imported(file, tmp_path / "bundle", "--scores", scores, "--films", films)

    assert result.exit_code == 1, result.output
    explained = [line for line in result.output.splitlines() if line.startswith("your scores are explained by")]
    assert any(fault.named in line for line in explained), result.output
    assert not (tmp_path / "bundle").exists()


def test_equal_scores_give_a_bundle_that_the_reader_reads_the_same(films: Path, tmp_path: Path) -> None:
    file, content = model(tmp_path)
    scores = scores_file(tmp_path, films, content, Fault(correct, ""))

    result = imported(file, tmp_path / "bundle", "--scores", scores, "--films", films)

    assert result.exit_code == 0, result.output
    assert "equal: the largest difference is" in result.output
    opened = bundle.load(tmp_path / "bundle")
    assert opened.card.name == "net"
    assert "3 films at the import" in opened.card.evidence.test
    assert [label.code.code.meaning for label in opened.card.labels] == ["Pleural effusion", "Cardiomegaly", "Mass"]
    reader = Reader(opened, device="cpu")
    expected: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(io.StringIO(scores.read_text())):
        expected.setdefault(row["file"], {})[row["label"].lower()] = float(row["score"])
    for name, of_film in expected.items():
        dataset = parse((films / name).read_bytes())
        (prediction,) = reader.read([pixels.radiograph(dataset, limits=Limits())])
        assert {finding.key: finding.score for finding in prediction.findings} == pytest.approx(of_film, abs=1e-5)


def test_explanation_is_adopted_for_the_card(films: Path, tmp_path: Path) -> None:
    file, content = model(tmp_path)
    scores = scores_file(tmp_path, films, content, FAULTS["center crop"])

    refused = imported(file, tmp_path / "bundle", "--scores", scores, "--films", films)
    adopted = imported(file, tmp_path / "bundle", "--scores", scores, "--films", films, "--adopt")

    assert "--answer fit=center-crop --answer shorter_side=0" in " ".join(refused.output.split())
    assert adopted.exit_code == 0, adopted.output
    card = bundle.read_card(tmp_path / "bundle")
    assert card.input.steps is not None
    assert card.input.steps.fit == "center-crop"


def test_two_faults_at_once_are_named_together(films: Path, tmp_path: Path) -> None:
    file, content = model(tmp_path)
    both = Fault(lambda path: normalised(1 - cropped(displayed(path))), "")
    scores = scores_file(tmp_path, films, content, both)

    result = imported(file, tmp_path / "bundle", "--scores", scores, "--films", films)

    (line,) = [line for line in result.output.splitlines() if line.startswith("your scores are explained by")]
    assert "inverted" in line
    assert "middle cropped" in line


def test_scores_that_nothing_explains_give_no_bundle(films: Path, tmp_path: Path) -> None:
    file, _ = model(tmp_path)
    rows = {path.name: dict.fromkeys(LABELS, 0.123) for path in films.glob("*.dcm")}
    (tmp_path / "scores.json").write_text(json.dumps(rows), encoding="utf-8")

    result = imported(file, tmp_path / "bundle", "--scores", tmp_path / "scores.json", "--films", films)

    assert result.exit_code == 1
    assert "no preparation that was tried" in result.output
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"labels": "Effusion,Moonlight,Mass"}, "no code is known for 'Moonlight'"),
        ({"labels": ""}, "no answer to labels"),
        ({"fit": "stretch"}, "fit: 'stretch'; expected one of squash"),
        ({"size": "64 by 64"}, "expected ROWSxCOLUMNS"),
        ({"mean": "a"}, "mean: 'a'; expected numbers"),
        ({"operating_points": "0.4,0.5"}, "2 for 3 labels"),
        ({"colour": "red"}, "no question 'colour'"),
    ],
)
def test_wrong_answer_is_refused_with_what_is_expected(answers: dict[str, str], message: str, tmp_path: Path) -> None:
    file, _ = model(tmp_path)

    result = imported(file, tmp_path / "bundle", answers=answers)

    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_answers_file_chooses_labels_codes_and_points(tmp_path: Path) -> None:
    file, _ = model(tmp_path, batch=1, last="Sigmoid")
    (tmp_path / "answers.toml").write_text(
        'labels = ["Opacity=112001^DCM^Opacity", "-", "Mass"]\noperating_points = ["0.4/0.5/0.6", 0.3]\n'
        'name = "mine"\nmean = 0\ndeviation = 1\ninverted = true\n',
        encoding="utf-8",
    )

    options = ("--answers", tmp_path / "answers.toml")
    by_key = [f"--answer={key}={value}" for key, value in ANSWERS.items() if key != "labels"]
    command = ["bundle", "import-onnx", str(file), "--to", str(tmp_path / "bundle"), *map(str, options), *by_key]
    result = CliRunner().invoke(app.app, command)

    assert result.exit_code == 0, result.output
    card = bundle.read_card(tmp_path / "bundle")
    assert (card.name, [label.key for label in card.labels]) == ("mine", ["opacity", "mass"])
    assert [point.undetermined_from for point in card.operating_points.points] == [0.4, 0.3]
    assert card.input.steps is not None
    assert card.input.steps.inverted
    assert "Not compared with its authors' pipeline" in card.evidence.test


def test_hostile_file_is_refused_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x80\x04cos\nsystem\n(S'id'\ntR.")

    result = imported(tmp_path / "net.onnx", tmp_path / "bundle")

    assert result.exit_code == 1
    assert "was refused: not an ONNX file" in result.output


def test_without_onnx_runtime_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxr_node.infer.onnx import run_time

    monkeypatch.setattr(run_time, "is_installed", lambda: False)
    file, _ = model(tmp_path)

    result = imported(file, tmp_path / "bundle")

    assert result.exit_code == 0, result.output
    assert "pip install 'cxr-node[onnx]'" in result.output
