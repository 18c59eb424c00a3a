"""OFFIS DICOMscope, a viewer of presentation states, on a screen of its own.

Its browser is a tree without names that a program could find, so it is operated by mouse, at the places of a window
that no window manager decorates.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageChops, ImageGrab

from tests.support import peers

JAR = Path("/usr/share/java/DICOMscope.jar")
_SIZE = "1280x1024x24"
_STUDY, _STATES, _STATE = (33, 97), (53, 129), (150, 146)
"""Knobs of the study and of its second series in the tree, and the line of the presentation state."""
_STEADY_S, _PAUSE_S, _PATIENCE_S = 2.0, 0.3, 60.0
_CONFIGURATION = """
[[GENERAL]]
[APPLICATION]
LogDirectory = {folder}
LogFile = general.log
LogLevel = INFO
[MONITOR]
Resolution = 1152\\864
Screensize = 400\\300
[PRINT]
Directory = {folder}
[DATABASE]
Directory = {folder}
[LUT]
Directory = /usr/share/dicomscope/lut
[REPORT]
Directory = /usr/share/dicomscope/reports
[GUI]
PSPanelOn = true
[[COMMUNICATION]]
[[VOI]]
"""
"""Without a message port, senders and receivers: it listens to nothing."""


def shown_state(film: Path, state: Path, folder: Path) -> Image.Image:
    """Return the screen of DICOMscope with a presentation state over its film, which must not be compressed.

    `folder` must be empty, and is its database.
    """
    for program in ("Xvfb", "xdotool", "java", "dcmqridx"):
        peers.program(program)
    if not JAR.is_file():
        peers.missing("DICOMscope", "dicomscope")
    (folder / "DICOMscope.cfg").write_text(_CONFIGURATION.format(folder=folder), encoding="ascii")
    peers.run("dcmqridx", str(folder), str(film), str(state))
    command: list[str | Path] = [peers.program("java"), "-cp", f"{folder}:{JAR}", "dicomscope.DICOMscope"]
    with _screen() as display, peers.running(command, cwd=folder, environment={**os.environ, "DISPLAY": display}):
        shown = _steady(display, ImageGrab.grab(xdisplay=display))
        for place, clicks in ((_STUDY, 1), (_STATES, 1), (_STATE, 2)):
            _click(display, place, clicks)
            shown = _steady(display, shown)
        return shown


@contextmanager
def _screen() -> Iterator[str]:
    """Run a screen in memory; the value is its name."""
    reader, writer = os.pipe()
    options = ["-displayfd", str(writer), "-screen", "0", _SIZE, "-nolisten", "tcp", "-noreset"]
    with peers.running([peers.program("Xvfb"), *options], descriptors=(writer,)), os.fdopen(reader) as number:
        os.close(writer)
        yield f":{number.readline().strip()}"


def _click(display: str, place: tuple[int, int], clicks: int) -> None:
    column, row = map(str, place)
    command = ["mousemove", column, row, "click", "--repeat", str(clicks), "--delay", "120", "1"]
    environment = {**os.environ, "DISPLAY": display}
    subprocess.run([peers.program("xdotool"), *command], env=environment, check=True, timeout=30)


def _steady(display: str, before: Image.Image) -> Image.Image:
    """Return the screen as soon as it differs from `before` and does not change any more."""
    last = ImageGrab.grab(xdisplay=display)
    changed_at = time.monotonic()

    def is_steady() -> bool:
        nonlocal last, changed_at
        screen = ImageGrab.grab(xdisplay=display)
        if _differ(screen, last):
            last, changed_at = screen, time.monotonic()
        return _differ(last, before) and time.monotonic() - changed_at > _STEADY_S

    peers.until(is_steady, what="a new picture of DICOMscope", timeout_s=_PATIENCE_S, pause_s=_PAUSE_S)
    return last


def _differ(one: Image.Image, other: Image.Image) -> bool:
    return one.size != other.size or ImageChops.difference(one, other).getbbox() is not None
