"""From a network's view logits and distance for one film to what kind of picture it takes it for. Pure."""

import numpy as np

from cxr_node.domain.radiograph import Float32, View
from cxr_node.domain.reading import Appearance

VIEWS = (View.PA, View.AP, View.LATERAL, None)
"""What the channels of `view_logits` stand for; None is no chest film."""


def appearance(logits: Float32, distance: float, *, limit: float) -> Appearance:
    """Return the view with the largest of `logits`, shape (4,), and its share by softmax.

    Raises
    ------
    ValueError
        If an output is not finite, or the distance negative.
    """
    if not np.isfinite(logits).all() or not np.isfinite(distance) or distance < 0:
        raise ValueError(f"the network gave view logits {logits.tolist()} and distance {distance}")
    shares = np.exp(logits.astype(np.float64) - float(logits.max()))
    shares /= shares.sum()
    best = int(shares.argmax())
    return Appearance(view=VIEWS[best], score=float(shares[best]), distance=distance, limit=limit)
