"""Pages of results of every kind, of a study that has them all: no link ends in an error."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import unescape
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Prediction, Region, Structure
from cxr_node.report.kinds.registry import REPORT_FORMS, RESULT_KINDS
from tests.support import films
from tests.support.node import StubNetwork, with_region
from tests.support.stub_prediction import prediction
from tests.support.web import Page, served_page

RIGHT, BOTTOM = 24, 32
SQUARE = ((8.0, 8.0), (float(RIGHT), 8.0), (float(RIGHT), float(BOTTOM)), (8.0, float(BOTTOM)))


def outlined(radiographs: Sequence[Radiograph]) -> tuple[Prediction, ...]:
    """Return predictions with a region and a heart."""
    heart = Structure(key=Anatomy.HEART, confidence=0.9, regions=(Region(outline=SQUARE),))
    return tuple(replace(with_region(one, SQUARE), structures=(heart,)) for one in prediction(radiographs))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page") / "node"
    with served_page(folder, kinds=RESULT_KINDS, reader=StubNetwork(answer=outlined)) as served:
        yield served


@pytest.fixture(scope="module")
def client(page: Page) -> Iterator[httpx.Client]:
    with page.visited_by("op") as opened:
        yield opened


def test_a_film_without_a_picture_shows_that_there_is_none(page: Page, client: httpx.Client) -> None:
    page.node.accept(films.dx(seed=30, changes={"PixelData": bytes(6)}))
    page.node.work()
    for name in ("film", "thumbnail"):
        answer = client.get(f"/films/5/{name}.png")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert client.get("/films/5/other.png").status_code == 404


def links(text: str) -> set[str]:
    """Return what a page refers to on this server: links and pictures, without scripts and styles."""
    addresses = {unescape(address) for address in re.findall(r'(?:href|src|hx-get)="(/[^"]*)"', text)}
    return {address.partition("#")[0] for address in addresses if not address.startswith("/static/")}


def results(client: httpx.Client) -> dict[str, str]:
    """Return the addresses of the results of the first study by their kind in words."""
    text = client.get("/studies/1").text
    anchors = re.findall(r'href="(/results/\d+)">([\w ]+), version 1', text)
    return {words: address for address, words in anchors}


def test_every_link_of_films_studies_and_results_leads_somewhere(client: httpx.Client) -> None:
    pages = ["/", *(f"/studies/{number}" for number in range(1, 5)), *(f"/films/{number}" for number in range(1, 5))]
    pages += results(client).values()
    answers = {address: client.get(address) for path in pages for address in links(client.get(path).text)}

    assert {address: answer.status_code for address, answer in answers.items() if answer.status_code != 200} == {}
    assert len(answers) > 40


def test_each_result_kind_has_a_page(client: httpx.Client) -> None:
    shown = {words: client.get(address).text for words, address in results(client).items()}

    assert {words.lower() for words in shown} == {kind.name.replace("-", " ") for kind in RESULT_KINDS}
    assert "Opacity" in shown["report"]
    assert "IMPRESSION" in shown["key images"]
    assert 'href="/films/1"' in shown["key images"]
    assert "AI FINDING 1" in shown["presentation state"]
    assert "<path d=" in shown["presentation state"]
    assert ">Heart<" in re.sub(r"\s*<svg.*?</svg>\s*", "", shown["segmentation"])
    for text in shown.values():
        assert 'href="/studies/1"' in text
        assert films.PATIENT_ID not in text


def test_pictures_of_results_are_those_that_were_sent(page: Page, client: httpx.Client) -> None:
    addresses = results(client)
    picture = client.get(f"{addresses['picture']}/picture")
    segments = client.get(f"{addresses['segmentation']}/segments.png")
    refused = client.get(f"{addresses['PDF']}/document.pdf")
    with page.visited_by("clerk") as clerk:
        assert f'href="{addresses["PDF"]}/document.pdf"' in clerk.get(addresses["PDF"]).text
        document = clerk.get(f"{addresses['PDF']}/document.pdf")

    assert picture.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(picture.content)).format == "JPEG"
    opacity = np.asarray(Image.open(BytesIO(segments.content)).convert("RGBA"))[:, :, 3]
    assert opacity.shape == (64, 48)
    assert (opacity[20, 16], opacity[4, 4], opacity[BOTTOM + 2, 16]) == (110, 0, 0)
    assert refused.status_code == 403, "it names the patient"
    assert document.headers["content-type"] == "application/pdf"
    assert document.content.startswith(b"%PDF-")


def test_only_what_a_result_has_is_returned(page: Page, client: httpx.Client) -> None:
    addresses = results(client)
    with page.visited_by("clerk") as clerk:
        assert clerk.get(f"{addresses['report']}/document.pdf").status_code == 404
    for path in ("/picture", "/segments.png"):
        assert client.get(f"{addresses['report']}{path}").status_code == 404, path
    assert client.get("/results/9999").status_code == 404
    with page.visited_by("admin") as other:
        for path in ("/results/1", f"{addresses['picture']}/picture", "/api/v1/results/1"):
            assert other.get(path).status_code == 403, path


def test_the_report_is_the_best_form_of_the_report(client: httpx.Client) -> None:
    addresses = results(client)
    for path in ("/studies/1", "/films/1"):
        text = client.get(path).text
        assert addresses["report"] in re.findall(
            r'(?:href|hx-get)="(/results/\d+)"[^>]*>(?:The report|<summary>The)', text
        )
    document = client.get(f"/api/v1{addresses['report']}").json()
    chest_cad = client.get(f"/api/v1{addresses['chest CAD']}").json()

    assert document["kind"] == REPORT_FORMS[0].result_type.name
    assert (document["films"], document["shown_as"]) == ([1], "tree")
    assert document["lines"][0]["text"] == "Imaging Measurement Report"
    assert chest_cad["lines"][0]["text"] == "Chest CAD Report"
