"""The picture of the architecture shows the packages that there are, each below those that import it."""

import re

from tests.support import architecture_pictures
from tests.support.films import ROOT


def test_the_committed_picture_has_every_package_in_its_layer() -> None:
    text = architecture_pictures.ARCHITECTURE.read_text(encoding="utf-8")
    names = {name for layer in architecture_pictures.layers() for name in layer}
    folders = {path.parent.name for path in (ROOT / "cxr_node").glob("*/__init__.py")} - {"migrations"}

    places = {name: int(y) for y, name in re.findall(r'<text class="" x="\d+" y="(\d+)">(\w+)</text>', text)}
    assert places.keys() == names, "python -m tests.support.architecture_pictures"
    assert folders <= names
    heights = [{places[name] for name in layer} for layer in architecture_pictures.layers()]
    assert all(len(height) == 1 for height in heights)
    assert heights == sorted(heights, key=min)


def test_lines_lead_from_a_package_to_those_below() -> None:
    picture = architecture_pictures.architecture([["web"], ["db", "net"]], {("web", "db"): 3, ("web", "gone"): 1})

    assert picture.count("<path") == 1
    assert picture.count(">web<") == 1
