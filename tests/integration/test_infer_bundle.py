"""Bundles on disk."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Presence
from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.bundle import BundleError
from cxr_node.infer.reader import Reader
from cxr_node.phantom.film import films
from tests.support import tiny_bundles
from tests.support.built_in import built_in_bundle


def test_a_bundle_that_matches_its_card_is_opened(tmp_path: Path) -> None:
    opened = bundle.load(tiny_bundles.bundle(tmp_path))

    assert opened.identity.name == "tiny"
    assert opened.identity.version == "1.2.3"
    assert opened.identity.weights_digest == digest_of(tiny_bundles.network())
    assert opened.identity.preparation == "squash-area 32x32 of [0.0, 0.0, 1.0, 1.0]"
    assert opened.identity.operating_points == "tests 1"


def test_the_same_network_exported_twice_is_the_same_file() -> None:
    tiny_bundles.network.cache_clear()
    first = tiny_bundles.network()
    tiny_bundles.network.cache_clear()

    assert tiny_bundles.network() == first


def test_a_network_of_another_card_is_refused(tmp_path: Path) -> None:
    folder = tiny_bundles.bundle(tmp_path)
    path = folder / "network.pt2"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")

    with pytest.raises(BundleError, match="the card was written for"):
        bundle.load(folder)


@pytest.mark.parametrize("missing", ["card.toml", "network.pt2"])
def test_a_bundle_with_a_file_missing_is_refused_naming_it(tmp_path: Path, missing: str) -> None:
    folder = tiny_bundles.bundle(tmp_path)
    (folder / missing).unlink()

    with pytest.raises(BundleError, match=missing):
        bundle.load(folder)


def test_a_wrong_card_is_refused_naming_folder_and_key(tmp_path: Path) -> None:
    folder = tiny_bundles.bundle(tmp_path, changes=((r"rows = 32", "rows = 0"),))

    with pytest.raises(BundleError, match=r"input\.rows") as caught:
        bundle.load(folder)

    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (functools.partial(tiny_bundles.network, labels=3), r"finding_logits has shape \(2, 3\)"),
        (functools.partial(tiny_bundles.network, logits="other"), "the network gives"),
    ],
)
def test_a_network_that_gives_something_else_is_refused(
    tmp_path: Path, content: Callable[[], bytes], sentence: str
) -> None:
    folder = tiny_bundles.bundle(tmp_path, content=content())

    with pytest.raises(BundleError, match=sentence):
        bundle.load(folder)


def test_a_bundle_of_every_output_is_opened(tmp_path: Path) -> None:
    opened = bundle.load(tiny_bundles.whole_bundle(tmp_path))

    assert opened.card.anatomy == tiny_bundles.STRUCTURES


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (functools.partial(tiny_bundles.whole_network, structures=2), r"structure_logits has shape \(2, 2, 32, 32\)"),
        (functools.partial(tiny_bundles.whole_network, views=3), r"view_logits has shape \(2, 3\)"),
        (functools.partial(tiny_bundles.whole_network, distances=2), r"distance has shape \(2, 2\)"),
    ],
)
def test_an_output_of_the_wrong_shape_is_refused_at_start_up(
    tmp_path: Path, content: Callable[[], bytes], sentence: str
) -> None:
    folder = tiny_bundles.whole_bundle(tmp_path, content=content())

    with pytest.raises(BundleError, match=sentence):
        bundle.load(folder)


def test_a_bundle_of_points_and_an_embedding_is_opened(tmp_path: Path) -> None:
    opened = bundle.load(tiny_bundles.pointing_bundle(tmp_path))

    assert [point.key for point in opened.card.points] == ["carina", "tube_tip"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (functools.partial(tiny_bundles.pointing_network, points=3), r"points has shape \(2, 3, 3\)"),
        (functools.partial(tiny_bundles.pointing_network, numbers=5), r"embedding has shape \(2, 5\)"),
        (functools.partial(tiny_bundles.pointing_network, column=float("inf")), "points that are not finite"),
        (functools.partial(tiny_bundles.pointing_network, confidence=40.0), "the confidence"),
    ],
)
def test_points_that_differ_from_the_card_are_refused_at_start_up(
    tmp_path: Path, content: Callable[[], bytes], sentence: str
) -> None:
    folder = tiny_bundles.pointing_bundle(tmp_path, content=content())

    with pytest.raises(BundleError, match=sentence):
        bundle.load(folder)


def test_a_network_for_films_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = tiny_bundles.bundle(tmp_path, changes=((r"rows = 32", "rows = 48"),))

    with pytest.raises(BundleError, match="48 x 32"):
        bundle.load(folder)


def test_every_built_in_bundle_opens_and_is_small_enough_to_ship() -> None:
    assert "chest" in bundle_registry.built_in()
    for name in bundle_registry.built_in():
        folder = bundle_registry.find(name)
        assert bundle.load(folder).identity.name == name
        assert sum(path.stat().st_size for path in folder.iterdir()) < 30_000_000


def test_a_folder_is_found_by_its_path(tmp_path: Path) -> None:
    folder = tiny_bundles.bundle(tmp_path / "mine")

    assert bundle_registry.find(str(folder)) == folder


def test_an_unknown_bundle_is_refused_naming_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="chest"):
        bundle_registry.find(str(tmp_path / "none"))


@pytest.mark.slow
@pytest.mark.parametrize("view", [View.PA, View.AP])
def test_findings_are_present_on_no_normal_phantom(view: View) -> None:
    reader = Reader(built_in_bundle(), device="cpu")
    radiographs = [
        Radiograph(p_values=film.p_values, geometry=Geometry(rows=512, columns=512), grayscale="phantom")
        for film in films(range(1, 7), views=[view] * 6)
    ]

    readings = reader.read(radiographs)

    assert not [one.key for reading in readings for one in reading.findings if one.presence is Presence.PRESENT]
