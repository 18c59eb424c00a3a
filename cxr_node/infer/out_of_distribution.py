"""Decodes view logits and out-of-distribution distance of one film into its appearance. Pure."""

import numpy as np

from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import Appearance

VIEWS = (View.PA, View.AP, View.LATERAL, None)
"""Meaning of the channels of `view_logits`; None is no chest film."""


def appearance(logits: Float32, distance: float, *, limit: float) -> Appearance:
    """Return the view with the largest of `logits`, shape (4,), and its softmax score.

    Raises
    ------
    ValueError
        If an output is not finite, or the distance negative.
    """
    if not np.isfinite(logits).all() or not np.isfinite(distance) or distance < 0:
        raise ValueError(f"the network gave view logits {logits.tolist()} and distance {distance}")
    probabilities = np.exp(logits.astype(np.float64) - float(logits.max()))
    probabilities /= probabilities.sum()
    best = int(probabilities.argmax())
    return Appearance(view=VIEWS[best], score=float(probabilities[best]), distance=distance, limit=limit)
