"""Remote bundles, and the network that the simulated inference server computes."""

import re
from pathlib import Path

import numpy as np

from cxr_node.infer import card as cards
from cxr_node.infer.card import Card
from cxr_node.infer.remote.client import RemoteServer
from cxr_node.infer.remote_card import RemoteNetwork
from cxr_node.simulators.inference_server import SimulatedInferenceServer, Tensor
from tests.support import tiny_bundles

DIGEST = "ab" * 32
REMOTE = """
[network.remote]
model = "chest"
version = "3"
input = "image"
outputs = { finding_logits = "logits", finding_maps = "maps" }

[input]
"""


def card_text() -> str:
    """Return the card of a bundle whose network runs on a server."""
    text = tiny_bundles.CARD.replace("<digest>", DIGEST).replace('file = "network.pt2"\n', "")
    return re.sub(r"\n\[input\]\n", lambda _: REMOTE, text)


def card() -> Card:
    """Return the same, parsed."""
    return cards.parse(card_text().encode())


def bundle(folder: Path) -> Path:
    """Write a bundle without a network file to `folder`; return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.toml").write_text(card_text(), encoding="utf-8")
    return folder


def model() -> RemoteNetwork:
    """Return the remote model of the card."""
    remote = card().network.remote
    assert remote is not None
    return remote


def compute(film: Tensor) -> dict[str, Tensor]:
    """Return outputs that depend on the film: logits (1, 1), maps (1, 1, 8, 8)."""
    maps = film.reshape(1, 1, 8, 4, 8, 4).mean(axis=(3, 5), dtype=np.float64) * 4 - 2
    return {"logits": maps.mean(axis=(2, 3)).astype(np.float32), "maps": maps.astype(np.float32)}


def server_of(simulated: SimulatedInferenceServer, *, timeout_s: float = 5.0) -> RemoteServer:
    """Return the client of a simulated server."""
    return RemoteServer(url=simulated.url, timeout_s=timeout_s, maximum_response_bytes=1 << 16)
