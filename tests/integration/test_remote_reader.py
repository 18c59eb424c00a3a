"""Remote reader against a simulated inference server on loopback: right responses, and every fault."""

import ssl
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cxr_node.domain.errors import GiveUp
from cxr_node.infer.remote.client import RemoteServer
from cxr_node.infer.remote.outcome import RemoteError, RequestOutcome
from cxr_node.infer.remote.reader import RemoteReader
from cxr_node.net.tls_peer import TlsPeer
from cxr_node.simulators.http_handler import RETRY_AFTER_S
from cxr_node.simulators.inference_server import Mode, SimulatedInferenceServer, Tensor
from tests.support import certificates, remote

FILM = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)

OUTCOMES = {
    Mode.SLOW: RequestOutcome.TIMED_OUT,
    Mode.DRIP: RequestOutcome.TIMED_OUT,
    Mode.WRONG_NAME: RequestOutcome.WRONG_MODEL,
    Mode.WRONG_VERSION: RequestOutcome.WRONG_MODEL,
    Mode.NO_VERSION: RequestOutcome.WRONG_MODEL,
    Mode.OTHER_ID: RequestOutcome.INVALID,
    Mode.NOT_JSON: RequestOutcome.INVALID,
    Mode.WRONG_SHAPE: RequestOutcome.INVALID,
    Mode.WRONG_DATATYPE: RequestOutcome.INVALID,
    Mode.NO_OUTPUT: RequestOutcome.INVALID,
    Mode.NOT_FINITE: RequestOutcome.NOT_FINITE,
    Mode.TOO_LARGE: RequestOutcome.TOO_LARGE,
    Mode.TRUNCATED: RequestOutcome.TRUNCATED,
    Mode.CLOSES: RequestOutcome.TRUNCATED,
    Mode.STATUS_500: RequestOutcome.HTTP_STATUS,
    Mode.STATUS_503: RequestOutcome.BUSY,
    Mode.NOT_READY: RequestOutcome.HTTP_STATUS,
}


def reader_of(
    server: RemoteServer, counts: "Counter[RequestOutcome] | None" = None, *, binary: bool = True
) -> RemoteReader:
    """Return a reader that counts the outcomes of its requests."""
    counts = Counter() if counts is None else counts
    return RemoteReader(
        remote.card(), remote.model(), server, binary=binary, on_request=lambda outcome, _: counts.update([outcome])
    )


@pytest.mark.parametrize("binary", [True, False])
def test_outputs_are_those_of_the_server_to_the_last_bit(binary: bool) -> None:
    with SimulatedInferenceServer(remote.compute) as simulated:
        outputs = reader_of(remote.server_of(simulated), binary=binary).forward([FILM])[0]

    expected = remote.compute(FILM[None, None])
    assert (outputs["finding_logits"] == expected["logits"][0]).all()
    assert (outputs["finding_maps"] == expected["maps"][0]).all()


def test_the_identity_names_the_remote_model() -> None:
    identity = reader_of(RemoteServer(url="http://127.0.0.1:1")).identity

    assert identity.weights_digest == remote.DIGEST
    assert identity.preparation.endswith(", by remote model chest version 3")


@pytest.mark.parametrize("mode", OUTCOMES)
def test_a_fault_of_the_server_gives_no_outputs(mode: Mode) -> None:
    counts: Counter[RequestOutcome] = Counter()
    with SimulatedInferenceServer(remote.compute) as simulated:
        simulated.mode = mode
        reader = reader_of(remote.server_of(simulated, timeout_s=0.3), counts)
        with pytest.raises(RemoteError) as failed:
            reader.forward([FILM])
        simulated.mode = Mode.RIGHT
        outputs = reader.forward([FILM])[0]

    assert failed.value.outcome is OUTCOMES[mode]
    assert failed.value.retry_after_s == (RETRY_AFTER_S if mode is Mode.STATUS_503 else 0)
    assert counts[OUTCOMES[mode]] > 0
    assert counts[RequestOutcome.OK] == 1
    assert np.isfinite(outputs["finding_logits"]).all()


def test_a_server_that_is_away_and_returns_is_noticed() -> None:
    simulated = SimulatedInferenceServer(remote.compute)
    simulated.start()
    reader = reader_of(remote.server_of(simulated))
    reader.check()
    simulated.stop()
    with pytest.raises(RemoteError) as failed:
        reader.check()
    with simulated:
        reader.check()

    assert failed.value.outcome is RequestOutcome.UNREACHABLE
    assert "connection refused" in str(failed.value).lower()


def test_a_model_that_is_not_ready_is_named() -> None:
    with SimulatedInferenceServer(remote.compute, version="4") as simulated:
        reader = reader_of(remote.server_of(simulated))
        with pytest.raises(RemoteError, match=r"remote model chest version 3 at .* is not ready: HTTP status 404"):
            reader.check()


def bright(film: Tensor) -> int:
    """Return the status of a server that refuses bright films."""
    return 400 if film.mean() > 0.9 else 200


def test_a_film_that_the_server_refuses_is_given_up_and_others_are_read() -> None:
    with SimulatedInferenceServer(remote.compute, film_status=bright) as simulated:
        reader = reader_of(remote.server_of(simulated))
        with pytest.raises(GiveUp, match="HTTP status 400"):
            reader.forward([np.ones((32, 32), np.float32)])
        assert len(reader.forward([FILM])) == 1


def test_nan_for_every_film_is_the_servers_fault_not_the_films() -> None:
    with SimulatedInferenceServer(remote.compute) as simulated:
        simulated.mode = Mode.NOT_FINITE
        with pytest.raises(RemoteError):
            reader_of(remote.server_of(simulated)).forward([FILM])
        assert simulated.requests[Mode.NOT_FINITE] == 2


def test_tls_and_the_token_of_a_file_reach_the_server(tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    issued = certificates.issued(tmp_path, authority, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    token = tmp_path / "token"
    token.write_text("s3cret\n", encoding="ascii")
    with SimulatedInferenceServer(remote.compute, tls=context, token="s3cret") as simulated:  # noqa: S106  # of the test
        trusted = TlsPeer(ca=authority.certificate)
        reader_of(RemoteServer(url=simulated.url, tls=trusted, token_file=token)).check()
        with pytest.raises(RemoteError) as without_token:
            reader_of(RemoteServer(url=simulated.url, tls=trusted)).check()
        other = TlsPeer(ca=certificates.authority(tmp_path, "other").certificate)
        with pytest.raises(RemoteError) as untrusted:
            reader_of(RemoteServer(url=simulated.url, tls=other, token_file=token)).check()

    assert without_token.value.status == 401
    assert untrusted.value.outcome is RequestOutcome.TLS_FAILED
    assert "not trusted" in str(untrusted.value)


@pytest.mark.parametrize("content", [None, b"", b"two\nlines", b"\xff"])
def test_without_a_usable_token_nothing_is_sent(tmp_path: Path, content: bytes | None) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)
    with SimulatedInferenceServer(remote.compute) as simulated:
        with pytest.raises(RemoteError) as failed:
            reader_of(RemoteServer(url=simulated.url, token_file=token)).forward([FILM])
        assert not simulated.requests

    assert failed.value.outcome is RequestOutcome.NOT_SENT


def test_missing_tls_files_are_named(tmp_path: Path) -> None:
    server = RemoteServer(url="https://127.0.0.1:1", tls=TlsPeer(ca=tmp_path / "none.pem"))

    with pytest.raises(RemoteError, match=r"TLS files of \[remote\] cannot be used"):
        reader_of(server).check()
