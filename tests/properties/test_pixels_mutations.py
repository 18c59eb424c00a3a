"""Mutated films through the whole stage: no crash, no hang, no swelling, always a film or a reason."""

import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import Radiograph
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.geometry import geometry
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.pixels.suitability import judge_header, judge_picture
from tests.support.pixel_films import LOSSLESS, LOSSY, chest, data_set, encoded, lut

# What pydicom cannot make sense of it warns of; here every film is like that.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

SHORT, LONG = 400, 20_000
LONGEST_S = 5.0
"""Processor time of this process for one film: as long on a busy machine. Decoders have a deadline of their own."""
LARGEST_SWELLING_BYTES = 256 << 20
"""How much more memory this process may hold after all mutated films than before: small films, so hardly any."""

LIMITS = Limits(
    maximum_samples=1 << 22, decode_timeout_s=4.0, decode_memory_bytes=1 << 30, maximum_inflated_bytes=1 << 24
)
HOSTILE = [
    b"\0" * 8,
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"NaN ",
    b"-inf",
    b"1e999999",
    b"\\\\\\\\",
    b"\xff\xd8\xff\xc3",
    b"\xff\x4f\xff\x51",
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
    b"\xfe\xff\xdd\xe0\0\0\0\0",
    b"\xe0\x7f\x10\x00OW\0\0\xff\xff\xff\xff",
    b"\x28\x00\x10\x00US\x02\x00\xff\xff",
    b"\x28\x00\x00\x30SQ\0\0\xff\xff\xff\xff",
    b"SQ",
    b"UN",
    b"OB",
]


def richly_described() -> dict[str, object]:
    """Return elements that lead through every branch: tables, windows, shutters, padding."""
    return {
        "ModalityLUTSequence": [lut(np.arange(4096).astype("<u2"), first=0, bits=12)],
        "VOILUTSequence": [lut(np.arange(4096).astype("<u2"), first=0, bits=12)],
        "WindowCenter": [2048, 1000],
        "WindowWidth": [4096, 0],
        "WindowCenterWidthExplanation": ["SOFT", "NORMAL"],
        "VOILUTFunction": "SIGMOID",
        "PixelPaddingValue": 0,
        "PixelPaddingRangeLimit": 40,
        "ShutterShape": ["RECTANGULAR", "CIRCULAR", "POLYGONAL"],
        "ShutterLeftVerticalEdge": 2,
        "ShutterRightVerticalEdge": 46,
        "ShutterUpperHorizontalEdge": 2,
        "ShutterLowerHorizontalEdge": 62,
        "CenterOfCircularShutter": [32, 24],
        "RadiusOfCircularShutter": 40,
        "VerticesOfThePolygonalShutter": [1, 1, 1, 48, 64, 48, 64, 1],
        "PixelSpacing": [0.2, 0.2],
        "ImagerPixelSpacing": [0.25, 0.25],
        "PatientOrientation": ["L", "F"],
        "PatientAge": "045Y",
        "PresentationLUTShape": "IDENTITY",
    }


def base_films() -> list[bytes]:
    """Return the films that are mutated: every transfer syntax, gray and color, plain and richly described."""
    gray = {"WindowCenter": 2048, "WindowWidth": 4096}
    deep = data_set(chest(), changes=gray)
    flat = data_set(chest(bits=8), bits_stored=8, changes={"BitsAllocated": 8})
    color = data_set(
        np.repeat(chest(bits=8)[..., None], 3, axis=2)[..., 0],
        bits_stored=8,
        changes={
            "BitsAllocated": 8,
            "SamplesPerPixel": 3,
            "PhotometricInterpretation": "RGB",
            "PlanarConfiguration": 0,
        },
    )
    color.PixelData = np.repeat(chest(bits=8)[..., None], 3, axis=2).astype("u1").tobytes()
    rich = data_set(chest(), changes=richly_described())
    films = [encoded(flat if syntax == uid.JPEGBaseline8Bit else deep, syntax) for syntax in (*LOSSLESS, *LOSSY)]
    films += [encoded(rich, syntax) for syntax in (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian)]
    return [*films, encoded(color, uid.ExplicitVRLittleEndian), encoded(color, uid.JPEGBaseline8Bit)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One change: `where` is a fraction of the film's length, `near_header` draws it to the part before the pixels."""

    kind: str
    where: float
    near_header: bool
    amount: int
    payload: bytes


MUTATIONS = st.builds(
    Mutation,
    kind=st.sampled_from(["flip", "flip", "put", "put", "insert", "delete", "truncate", "repeat", "zero"]),
    where=st.floats(0, 1, exclude_max=True),
    near_header=st.booleans(),
    amount=st.integers(1, 200),
    payload=st.sampled_from(HOSTILE) | st.binary(min_size=1, max_size=8),
)


def mutated(content: bytes, mutations: list[Mutation]) -> bytes:
    """Return the film after all mutations; the preamble stays, for without it nothing is parsed at all."""
    for mutation in mutations:
        content = content[:132] + _mutated(content[132:], mutation)
    return content


def _mutated(body: bytes, mutation: Mutation) -> bytes:
    reach = min(len(body), 1200) if mutation.near_header else len(body)
    at = int(mutation.where * reach)
    return _KINDS[mutation.kind](body, at, mutation)


_KINDS: dict[str, Callable[[bytes, int, Mutation], bytes]] = {
    "flip": lambda body, at, m: (
        body[:at] + bytes([body[at] ^ (m.amount & 0xFF or 1)]) + body[at + 1 :] if body else body
    ),
    "put": lambda body, at, m: body[:at] + m.payload + body[at + len(m.payload) :],
    "insert": lambda body, at, m: body[:at] + m.payload + body[at:],
    "delete": lambda body, at, m: body[:at] + body[at + m.amount :],
    "truncate": lambda body, at, _m: body[:at],
    "repeat": lambda body, at, m: body[: at + m.amount] + body[at:],
    "zero": lambda body, at, m: body[:at] + bytes(m.amount) + body[at + m.amount :],
}


def through_the_stage(content: bytes, sandbox: Sandbox) -> Radiograph | GiveUp:
    """Return what the stage makes of a film: anything else than these two is a fault, and raises."""
    try:
        dataset = parse(content, limits=LIMITS)
        geometry(dataset)
        judge_header(dataset, Rules())
        film = radiograph(dataset, limits=LIMITS, sandbox=sandbox)
        judge_picture(film, Rules())
    except GiveUp as gave_up:
        return gave_up
    return film


@pytest.fixture(scope="module")
def bases() -> list[bytes]:
    return base_films()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


def check(content: bytes, sandbox: Sandbox) -> None:
    """Put one film through the stage and hold what comes out against the promise."""
    started = time.process_time()
    outcome = through_the_stage(content, sandbox)
    assert time.process_time() - started < LONGEST_S
    if isinstance(outcome, GiveUp):
        assert outcome.reason.value
        assert outcome.detail
    else:
        assert outcome.p_values.shape == (outcome.geometry.rows, outcome.geometry.columns)
        assert outcome.p_values.dtype == np.uint16


def run(bases: list[bytes], sandbox: Sandbox, *, examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.integers(0, len(bases) - 1), st.lists(MUTATIONS, min_size=1, max_size=4))
    def mutate(base: int, mutations: list[Mutation]) -> None:
        check(mutated(bases[base], mutations), sandbox)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mutate()
    swelling = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert swelling < LARGEST_SWELLING_BYTES


@pytest.mark.slow
def test_unmutated_films_pass(bases: list[bytes]) -> None:
    """The films to be mutated have no fault of their own, at which every mutated one would be given up."""
    with Sandbox(replace(LIMITS, decode_timeout_s=60.0)) as sandbox:
        for content in bases:
            assert isinstance(through_the_stage(content, sandbox), Radiograph)


@pytest.mark.slow
def test_a_mutated_film_becomes_a_film_or_a_reason(bases: list[bytes], sandbox: Sandbox) -> None:
    run(bases, sandbox, examples=SHORT)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_twenty_thousand_mutated_films_become_films_or_reasons(bases: list[bytes], sandbox: Sandbox) -> None:
    run(bases, sandbox, examples=LONG)
