"""Decoders that crash, hang, swell or lie, in a process of their own: the node stays, and reads the next film."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from pydicom import uid

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.codecs import Codec, Task
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.sandbox import Sandbox
from tests.support.pixel_films import chest, data_set, encoded

TASK = Task(
    codec=Codec.JPEG,
    transfer_syntax_uid=str(uid.JPEGLosslessSV1),
    rows=64,
    columns=48,
    components=1,
    precision=12,
    photometric_interpretation="MONOCHROME2",
)
SIZE = 64 * 48 * 2


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits()) as sandbox:
        yield sandbox


def whole(syntax: uid.UID = uid.JPEGLosslessSV1) -> bytes:
    """Return a chest film without a fault."""
    return encoded(data_set(chest(), changes={"WindowCenter": 2048, "WindowWidth": 4096}), syntax)


def deadly() -> bytes:
    """Return a film that ends the process of whoever decodes it: its first table has lost its marker."""
    film = whole()
    at = film.index(b"\xff\xc4")
    return film[:at] + b"\x32" + film[at + 1 :]


def read(content: bytes, sandbox: Sandbox) -> Radiograph:
    return radiograph(parse(content), limits=Limits(), sandbox=sandbox)


def refusal(content: bytes, sandbox: Sandbox) -> GiveUp:
    with pytest.raises(GiveUp) as gave_up:
        read(content, sandbox)
    return gave_up.value


def child_that(program: str) -> Sandbox:
    """Return a sandbox whose child runs this Python program instead of decoding."""

    def start(_limits: Limits, _frame: int, samples: int) -> "subprocess.Popen[bytes]":
        arguments = [sys.executable, "-c", program, str(samples)]
        pipe = subprocess.PIPE
        return subprocess.Popen(arguments, stdin=pipe, stdout=pipe, bufsize=0, pass_fds=[samples])

    return Sandbox(Limits(decode_timeout_s=1.0), start=start)


def test_a_film_that_kills_its_decoder_fails_and_the_next_is_decoded(sandbox: Sandbox) -> None:
    gave_up = refusal(deadly(), sandbox)
    assert gave_up.reason is Reason.DECODE
    assert "ended the process" in gave_up.detail
    assert read(whole(), sandbox).p_values.shape == (64, 48)


def test_one_process_decodes_many_films(sandbox: Sandbox) -> None:
    read(whole(), sandbox)
    children = psutil.Process().children()
    for syntax in (uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless):
        read(whole(syntax), sandbox)
    assert psutil.Process().children() == children


def test_a_decoder_that_hangs_is_ended_at_the_deadline() -> None:
    started = time.monotonic()
    with child_that("import time; time.sleep(600)") as sandbox, pytest.raises(GiveUp) as gave_up:
        sandbox.decode(TASK, bytes(10), expected_bytes=SIZE)
    assert gave_up.value.reason is Reason.TIMEOUT
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.abort()",
        "import sys; sys.exit(0)",
        "import sys; sys.stdin.buffer.read(20); sys.stdout.buffer.write(b'=' + (6144).to_bytes(8, 'little'))",
        "import sys; sys.stdin.buffer.read(20); sys.stdout.buffer.write(b'=' + b'\\0')",
        "import sys; sys.stdout.buffer.write(b'=' + b'\\0' * 7 + b'\\x10'); sys.stdout.flush(); sys.stdin.read()",
        "import sys; sys.stdout.buffer.write(b'?' * 100); sys.stdout.flush(); sys.stdin.read()",
    ],
    ids=["aborts", "leaves", "leaves no samples", "stops in the middle", "promises an exabyte", "babbles"],
)
def test_whatever_the_child_does_the_film_gets_a_reason(program: str) -> None:
    with child_that(program) as sandbox, pytest.raises(GiveUp) as gave_up:
        sandbox.decode(TASK, bytes(10), expected_bytes=SIZE)
    assert gave_up.value.reason in (Reason.DECODE, Reason.TIMEOUT)


def test_a_decoder_is_refused_too_much_memory() -> None:
    film = encoded(data_set(np.zeros((4000, 4000), np.int32)), uid.JPEG2000Lossless)
    tight = Limits(decode_memory_bytes=160 << 20)
    with Sandbox(tight) as sandbox:
        with pytest.raises(GiveUp) as gave_up:
            radiograph(parse(film), limits=tight, sandbox=sandbox)
        assert gave_up.value.reason is Reason.DECODE
        assert radiograph(parse(whole(uid.JPEG2000Lossless)), limits=tight, sandbox=sandbox).p_values.any()


def test_two_threads_share_a_sandbox(sandbox: Sandbox) -> None:
    films = [whole(syntax) for syntax in (uid.JPEGLosslessSV1, uid.JPEG2000Lossless)]
    expected = read(films[0], sandbox).p_values
    wrong: list[bytes] = []

    def read_often(film: bytes) -> None:
        wrong.extend(film for _ in range(10) if not np.array_equal(read(film, sandbox).p_values, expected))

    threads = [threading.Thread(target=read_often, args=(film,)) for film in films]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_closing_ends_the_child() -> None:
    before = psutil.Process().children()
    with Sandbox(Limits()) as sandbox:
        read(whole(), sandbox)
        assert psutil.Process().children() != before
    assert psutil.Process().children() == before


def test_without_a_sandbox_one_is_made_for_the_film_and_ended() -> None:
    before = psutil.Process().children()
    assert radiograph(parse(whole()), limits=Limits()).p_values.any()
    assert psutil.Process().children() == before


def test_the_child_inherits_no_password(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    monkeypatch.setenv("CXR_NODE_TEST_PASSWORD", "secret")
    before = psutil.Process().children()
    read(whole(), sandbox)
    (child,) = (child for child in psutil.Process().children() if child not in before)
    assert "CXR_NODE_TEST_PASSWORD" not in child.environ()


def test_a_crash_is_logged_without_the_film(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        refusal(deadly(), sandbox)
    assert [record.getMessage() for record in caplog.records] == ["the decoding process ended with status -6"]
