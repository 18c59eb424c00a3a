"""Scores re-centred on the operating point, whatever the logit."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from cxr_node.infer.networks.densenet import DenseNet, Sizes
from cxr_node.infer.published import Recentered


class Given(nn.Module):
    """A network whose features are its film and whose logits are their means."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.head = nn.Linear(outputs, outputs)
        nn.init.eye_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def grid(self, film: Tensor) -> Tensor:
        """Return the film."""
        return film


def recentred(logits: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.float32]:
    module = Recentered(Given(1), outputs=[0], thresholds=[threshold])
    with torch.inference_mode():
        outputs: Tensor = module(torch.tensor(logits, dtype=torch.float32)[:, None, None, None])["finding_logits"]
    return outputs.sigmoid().numpy()[:, 0]


@pytest.mark.parametrize("threshold", [0.0004403434, 0.0098118475, 0.20204692, 0.5, 0.53787947, 0.99])
def test_scores_are_those_of_the_formula(threshold: float) -> None:
    logits = np.linspace(-30, 30, 4001)
    score = 1 / (1 + np.exp(-logits))
    below, above = score / (2 * threshold), 1 - (1 - score) / (2 * (1 - threshold))

    assert np.abs(recentred(logits, threshold) - np.where(score < threshold, below, above)).max() < 1e-6


@pytest.mark.parametrize("threshold", [0.0004403434, 0.5, 0.99])
def test_scores_are_finite_and_rise_with_the_logit_however_steep(threshold: float) -> None:
    scores = recentred(np.array([-1e30, -500.0, -90.0, -20.0, 0.0, 20.0, 90.0, 500.0, 1e30]), threshold)

    assert np.isfinite(scores).all()
    assert (np.diff(scores) >= 0).all()
    assert scores[0] < 1e-6
    assert scores[-1] > 1 - 1e-6


def test_the_operating_point_is_at_half() -> None:
    threshold = 0.03

    (score,) = recentred(np.log([threshold / (1 - threshold)]), threshold)

    assert score == pytest.approx(0.5, abs=1e-6)


@pytest.mark.slow
def test_chosen_outputs_keep_their_order_and_a_maps_mean_is_its_logit() -> None:
    torch.manual_seed(0)
    network = DenseNet(5, Sizes(first=8, growth=4, blocks=(1, 1))).eval()
    film = torch.rand(2, 1, 64, 64)
    module = Recentered(network, outputs=[3, 1], thresholds=[0.5, 0.5]).eval()
    with torch.inference_mode():
        plain = network.head(network.grid(film).mean(dim=(2, 3)))
        outputs = module(film)

    assert torch.allclose(outputs["finding_logits"], plain[:, [3, 1]], atol=1e-5)
    assert torch.allclose(outputs["finding_maps"].mean(dim=(2, 3)), plain[:, [3, 1]], atol=1e-5)
