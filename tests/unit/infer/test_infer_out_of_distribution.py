"""What kind of picture a network takes a film for."""

import numpy as np
import pytest

from cxr_node.domain.film_geometry import View
from cxr_node.infer.out_of_distribution import appearance


@pytest.mark.parametrize(("channel", "view"), [(0, View.PA), (1, View.AP), (2, View.LATERAL), (3, None)])
def test_the_view_is_that_of_the_largest_logit(channel: int, view: View | None) -> None:
    logits = np.zeros(4, np.float32)
    logits[channel] = np.log(7.0)

    decoded = appearance(logits, 1.5, limit=4.0)

    assert (decoded.view, decoded.distance, decoded.limit) == (view, 1.5, 4.0)
    assert decoded.score == pytest.approx(0.7)


def test_large_logits_do_not_overflow() -> None:
    assert appearance(np.array([1000.0, -1000.0, 0.0, 0.0], np.float32), 0.0, limit=1.0).score == 1.0


@pytest.mark.parametrize(("logit", "distance"), [(np.nan, 1.0), (0.0, np.inf), (0.0, -0.1)])
def test_what_cannot_be_is_refused(logit: float, distance: float) -> None:
    with pytest.raises(ValueError, match="the network gave view logits"):
        appearance(np.array([logit, 0, 0, 0], np.float32), distance, limit=4.0)
