"""Frames of films over HTTP: all P-values, authorised, audited and bounded."""

import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from pydicom import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.hanging import hang
from cxr_node.domain.instance import KeptFile
from cxr_node.domain.radiograph import UInt16
from cxr_node.pixels import film as pixels
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.queries import archived
from cxr_node.web.pictures import Pictures
from cxr_node.wiring import pictures
from tests.support import audit_rules, films, turned_films
from tests.support.node import received
from tests.support.peers import until
from tests.support.web import Page, served_page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with served_page(tmp_path_factory.mktemp("page") / "node") as served:
        yield served


def p_values(film: Dataset) -> UInt16:
    """Return the P-values of a film as it hangs."""
    return hang(pixels.radiograph(parse(received(film).content, limits=Limits()), limits=Limits())).p_values


def array(response: httpx.Response) -> UInt16:
    """Return the values of a frame."""
    shape = int(response.headers["X-Rows"]), int(response.headers["X-Columns"])
    return np.frombuffer(response.content, "<u2").reshape(shape)


def test_a_frame_has_every_p_value_of_the_film(page: Page) -> None:
    with page.visited_by("reader") as client:
        response = client.get("/films/1/frame")
        plain = client.get("/films/1/frame", headers={"Accept-Encoding": "identity"})

    assert np.array_equal(array(response), p_values(films.dx()))
    assert len(np.unique(array(response))) > 256
    assert response.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert np.array_equal(array(plain), array(response))
    assert response.headers["X-Pixel-Aspect-Ratio"] == "1"
    assert response.headers["Cache-Control"] == "private, max-age=3600"


def test_a_frame_hangs_as_the_picture_does(page: Page) -> None:
    turn = turned_films.ALL[-1]
    film = turned_films.turned_copy(turn, turn.patient_orientation())
    page.node.accept(film)
    with page.node.database.read() as connection:
        newest = archived.newest_film(connection)
    assert newest is not None
    with page.visited_by("reader") as client:
        response = client.get(f"/films/{newest.film_id}/frame")

    assert np.array_equal(array(response), p_values(film))


def test_a_frame_needs_a_login_that_sees_films_and_is_audited(page: Page) -> None:
    with page.visited_by() as client:
        assert client.get("/films/3/frame").headers["location"] == "/login"
    with page.visited_by("admin") as client:
        assert client.get("/films/3/frame").status_code == 403
    with page.visited_by("reader") as client:
        assert client.get("/films/3/frame").status_code == 200
        assert client.get("/films/3/film.png").status_code == 200
    folder = page.config.parent / "cxr-node-data" / "audit"
    views = [
        view
        for view in audit_rules.recorded(folder, "110103")
        if view.findall("ParticipantObjectIdentification")[0].get("ParticipantObjectID")
        == films.dx(seed=2).StudyInstanceUID
    ]

    assert [view.findall("ActiveParticipant")[0].get("UserID") for view in views] == ["reader"]


def test_a_film_that_cannot_be_decoded_has_no_frame(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    with page.visited_by("reader") as client:
        assert client.get("/films/999/frame").status_code == 404
        monkeypatch.setattr(Pictures, "frame", lambda *_: None)
        assert client.get("/films/1/frame").status_code == 204


def test_requests_beyond_the_places_of_a_login_are_refused(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    frame = pictures.Frame(rows=1, columns=1, aspect_ratio=1.0, gzip_content=zlib.compress(b"\0\0", wbits=31))
    monkeypatch.setattr(Pictures, "frame", lambda *_: frame if released.wait(60) else None)
    with page.visited_by("reader") as client, page.visited_by("op") as other, ThreadPoolExecutor(9) as threads:
        requests = [threads.submit(client.get, "/films/1/frame") for _ in range(8)]
        until(lambda: sum(request.done() for request in requests) == 2, what="two refusals")
        requests.append(threads.submit(other.get, "/films/1/frame"))
        released.set()
        statuses = [request.result().status_code for request in requests]

    assert sorted(statuses[:8]) == [200] * 6 + [429] * 2
    assert statuses[8] == 200, "another login has places of its own"


def test_a_frame_too_large_for_a_browser_is_not_sent(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAXIMUM_FRAME_PIXELS", 10)
    with page.node.database.read() as connection:
        film = archived.film_in_archive(connection, 1)
    assert film is not None
    context = pictures.PictureContext(archive=page.node.archive, limits=Limits())

    with pytest.raises(GiveUp, match="too large for a browser"):
        pictures.frame(context, KeptFile(archive_key=film.archive_key, digest=film.digest))
