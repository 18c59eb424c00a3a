"""The heart's width: the mean of its widest rows, without its top."""

import numpy as np
import pytest

from cxr_node.measure import proportions
from cxr_node.measure.grid import Mask


def heart() -> Mask:
    """Return a heart of 100 rows, 60 pixels wide but for its top, in which it widens from 20."""
    mask = np.zeros((200, 200), np.bool_)
    mask[50:80, 90:110] = True
    mask[80:150, 70:130] = True
    return mask


def test_the_width_of_a_rectangle_is_its_width() -> None:
    width, line = proportions.heart_width(heart())

    assert width == 60
    assert line[:, 0].tolist() == [70, 130]
    assert line[0, 1] == line[1, 1]


@pytest.mark.parametrize("columns", [slice(40, 90), slice(110, 160)])
def test_a_bulge_at_the_hilum_does_not_widen_the_heart(columns: slice) -> None:
    bulging = heart()
    bulging[55:75, columns] = True

    assert proportions.heart_width(bulging)[0] == 60
    assert proportions.width(bulging)[0] == 90


def test_a_spike_of_few_rows_widens_the_heart_by_its_share() -> None:
    """The widest quarter of 70 rows are 18: two of them 30 pixels wider."""
    spiked = heart()
    spiked[100:102, 130:160] = True

    assert proportions.heart_width(spiked)[0] == pytest.approx(60 + 30 * 2 / 18)


def test_borders_at_different_heights_are_not_added() -> None:
    """Rows are level: a right border that is farthest out above the left one adds nothing to it."""
    askew = heart()
    askew[80:115, 60:70] = True
    askew[115:150, 130:140] = True

    assert proportions.heart_width(askew)[0] == 70
    assert proportions.width(askew)[0] == 80


def test_the_line_is_as_long_as_the_width() -> None:
    rows, columns = np.indices((200, 200))
    width, line = proportions.heart_width((rows - 100) ** 2 / 50**2 + (columns - 90) ** 2 / 40**2 <= 1)

    assert line[1, 0] - line[0, 0] == pytest.approx(width)
    assert 76 < width < 81


def test_a_heart_of_one_row_has_a_width() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[10, 5:9] = True

    assert proportions.heart_width(mask)[0] == 4
