"""`docs/models/import-onnx.md`: its commands, exactly as they stand, from an ONNX file to a report in a PACS."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage

from cxr_node.pixels import film as pixels
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from tests.support import films
from tests.support.films import ROOT
from tests.support.pages import background, blocks, environment, run
from tests.support.peers import StoreScp, free_port, storescp, until

onnxruntime = pytest.importorskip("onnxruntime")
onnx_models = pytest.importorskip("tests.support.onnx_models")

PAGE = ROOT / "docs" / "models" / "import-onnx.md"
SIDE = 64
LABELS = ("Effusion", "Cardiomegaly")
NAMES = ("one.dcm", "two.dcm", "three.dcm")


def author_files(folder: Path) -> None:
    """Write what the page asks for: a network, three films, and the scores of another pipeline."""
    content = onnx_models.classifier(side=SIDE, labels=len(LABELS), channels=1)
    (folder / "network.onnx").write_bytes(content)
    (folder / "films").mkdir()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with (folder / "films" / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "score"])
        for seed, name in enumerate(NAMES):
            path = films.written(films.dx(rows=700, columns=600, seed=seed), folder / "films")
            path = path.rename(folder / "films" / name)
            shown = pixels.radiograph(parse(path.read_bytes()), limits=Limits()).p_values / 65535
            small = Image.fromarray(shown.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            (output,) = session.run(None, {"x": ((np.asarray(small) - 0.5) / 0.25)[None, None]})
            writer.writerows(
                (name, label, 1 / (1 + np.exp(-value))) for label, value in zip(LABELS, output[0], strict=True)
            )


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[StoreScp]:
    with storescp(tmp_path / "pacs") as peer:
        yield peer


@pytest.mark.ci(short="tests/house/test_site.py::test_every_call_in_the_pages_has_its_command_and_options")
@pytest.mark.timeout(1200)
def test_commands_of_the_page_lead_from_a_file_to_a_report(pacs: StoreScp, tmp_path: Path) -> None:
    """The ports of the page are replaced by free ones; engines are not measured, which takes longer than the rest."""
    folder = tmp_path / "site"
    folder.mkdir()
    author_files(folder)
    receive, web = free_port(), free_port()
    page = PAGE.read_text(encoding="utf-8").replace("11112", str(receive)).replace("4242", str(pacs.port))
    parts = blocks(page)
    answers, settings = (content for language, content in parts if language == "toml")
    (folder / "answers.toml").write_text(answers, encoding="utf-8")
    settings = settings.replace("[read]", '[read]\nengine = "eager"')
    (folder / "cxr-node.toml").write_text(f"{settings}\n[web]\nport = {web}\n", encoding="utf-8")
    variables = environment()
    scripts = [(language, content) for language, content in parts if language.startswith("sh")]
    place = next(number for number, (language, _) in enumerate(scripts) if language == "sh background")

    outputs = [run(script, folder, variables) for _, script in scripts[:place]]
    with background(
        scripts[place][1],
        folder,
        variables,
        is_ready=lambda log: log.count("is ready") >= 4,
        what="a node that is ready",
    ):
        outputs.append(run(scripts[place + 1][1], folder, variables))
        until(lambda: bool(_reports(pacs)), what="a report in the PACS", timeout_s=120)
        outputs += [run(script, folder, variables) for _, script in scripts[place + 2 :]]

    assert "equal: the largest difference is" in outputs[0]
    assert "Our hospital" in outputs[1]
    assert "bit-identical" in outputs[-1]
    (report,) = _reports(pacs)
    film = dcmread(folder / "films" / "one.dcm")
    assert report.StudyInstanceUID == film.StudyInstanceUID
    meanings = {str(element.value) for element in report.iterall() if element.keyword == "CodeMeaning"}
    assert {"Pleural effusion", "Cardiomegaly"} <= meanings


def _reports(pacs: StoreScp) -> list[Dataset]:
    """Return the reports of measurements that the PACS has; a text and a picture come with each."""
    return [held for held in map(dcmread, pacs.files()) if held.SOPClassUID == Comprehensive3DSRStorage]


def test_page_names_every_question_and_no_other() -> None:
    from cxr_node.cli import onnx_questions
    from cxr_node.infer.onnx.proposal import Proposal

    proposal = Proposal(
        rows=64,
        columns=64,
        channels=1,
        is_channels_last=False,
        is_batch_free=True,
        outputs=("y",),
        scores="y",
        meaning="logits",
        maps="",
        classes=2,
    )
    keys = {question.key for question in onnx_questions.questions(proposal, "name", ["Mass"])}
    table = PAGE.read_text(encoding="utf-8").partition("## Questions")[2].partition("## Proof")[0]
    named = {
        key
        for line in table.splitlines()
        if line.startswith("| `")
        for key in re.findall(r"`(\w+)`", line.split("|")[1])
    }

    assert named == keys
