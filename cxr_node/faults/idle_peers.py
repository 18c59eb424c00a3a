"""Peers that connect and wait: half-open TLS handshakes and idle associations, while a modality sends films."""

import shutil
import ssl
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cxr_node.faults import ledger_check, scratch, wire
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.load import wait_for
from cxr_node.faults.node_process import Plan, life
from cxr_node.faults.outcome import Outcome
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "half-open handshakes and idle associations"
_LIMIT = 3.0
"""How much longer than without them the slowest film in a hundred may take."""
_HELLO = b"\x16\x03\x01\x02"
"""The first bytes of a ClientHello."""
_REST_S = 120.0


def run(bench: FaultContext) -> Outcome:
    """Measure a modality with and without the crowd, round after round; draw the balance."""
    if shutil.which("openssl") is None:
        return Outcome(group=GROUP, database=bench.kind, skipped="there is no openssl on this machine for certificates")
    promised: dict[str, str] = {}
    problems: list[str] = []
    with ExitStack() as stack:
        seconds, pacs = stack.enter_context(stopwatch()), stack.enter_context(SimulatedPacs())
        folder = bench.folder / "crowd"
        bench.folder.mkdir(parents=True, exist_ok=True)
        files = _certificate(bench.folder)
        crowd = bench.amounts.crowd
        place = scratch.place(
            folder,
            receives=bench.receives,
            database_url=stack.enter_context(bench.database_url()),
            destinations={"pacs": scratch.to_pacs(pacs.port)},
            sections={
                "receive": {
                    "tls_certificate": str(files["certificate"]),
                    "tls_key": str(files["key"]),
                    "maximum_associations": crowd + 50,
                    "tls_handshake_timeout_s": 300.0,
                }
            },
        )
        tls = ssl.create_default_context(cafile=str(files["certificate"]))
        node = stack.enter_context(life(Plan(place=place)))
        _measure(bench, node.port, tls, promised, problems)  # what is made on first use
        ratios: list[float] = []
        medians: list[tuple[float, float]] = []
        for number in range(bench.amounts.rounds):
            bench.tell("rounds with a crowd", number, bench.amounts.rounds)
            alone = _measure(bench, node.port, tls, promised, problems)
            with _crowd(node.port, tls, crowd, bench.films.make(0).SOPClassUID, problems):
                crowded = _measure(bench, node.port, tls, promised, problems)
            ratios.append(_p99(crowded) / _p99(alone))
            medians.append((statistics.median(alone), statistics.median(crowded)))
        if not wait_for(lambda: promised.keys() <= pacs.by_study.keys(), _REST_S):
            problems.append(f"not every report has arrived after {_REST_S:.0f} s")
        wait_for(lambda: ledger_check.is_at_rest(place.settings), _REST_S)
        node.stop()
        drawn = ledger_check.drawn(place.settings, promised, pacs.by_study)
    ratio = statistics.median(ratios)
    if ratio > _LIMIT:
        problems.append(f"p99 grew {ratio:.2f}-fold")
    alone_ms, crowded_ms = (1000 * statistics.median(each) for each in zip(*medians, strict=True))
    return Outcome(
        group=GROUP,
        database=bench.kind,
        faults=2 * crowd * bench.amounts.rounds,
        films=drawn.films,
        confirmed=drawn.confirmed,
        lost=len(drawn.lost),
        doubled=len(drawn.doubled),
        problems=(*problems, *drawn.problems),
        notes=(
            f"p99 with {crowd} half-open handshakes and {crowd} idle associations over p99 without: {ratio:.2f}",
            f"the median of rounds: {', '.join(f'{each:.2f}' for each in ratios)}",
            f"connect, handshake, associate, store, release: median {alone_ms:.0f} ms alone, {crowded_ms:.0f} ms in it",
        ),
        seconds=seconds(),
    )


def _measure(
    bench: FaultContext, port: int, tls: ssl.SSLContext, promised: dict[str, str], problems: list[str]
) -> list[float]:
    """Send films, each on an association of its own; return how many seconds each took."""
    took: list[float] = []
    for _ in range(bench.amounts.films_per_round):
        sent = wire.message(bench.films.make(50_000_000 + len(promised)))
        began = time.perf_counter()
        with wire.connected(port, tls=tls) as modality:
            stored = modality.associate(sent.sop_class_uid) and modality.store(sent) == 0
            modality.release()
        took.append(time.perf_counter() - began)
        if stored:
            promised[sent.study_instance_uid] = sent.sop_instance_uid
        else:
            problems.append("a film got no Success")
    return took


@contextmanager
def _crowd(port: int, tls: ssl.SSLContext, count: int, sop_class_uid: str, problems: list[str]) -> Iterator[None]:
    """Hold `count` handshakes half open and `count` associations idle while the block lasts."""
    with ExitStack() as stack:
        for number in range(count):
            half_open = stack.enter_context(wire.connected(port))
            if number % 2:
                half_open.send(_HELLO)
        for _ in range(count):
            idle = stack.enter_context(wire.connected(port, tls=tls))
            if not idle.associate(sop_class_uid):
                problems.append("an idle peer was not let in")
        yield


def _p99(took: list[float]) -> float:
    return sorted(took)[int(0.99 * (len(took) - 1))] if len(took) > 1 else took[0]


def _certificate(folder: Path) -> Mapping[str, Path]:
    """Make a certificate for this machine that vouches for itself."""
    made = {"certificate": folder / "certificate.pem", "key": folder / "key.pem"}
    subprocess.run(  # noqa: S603  # the machine's own OpenSSL
        [
            *(shutil.which("openssl") or "openssl", "req", "-x509", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=fault suite"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(made["key"]), "-out", str(made["certificate"])),
        ],
        check=True,
        capture_output=True,
    )
    return made
