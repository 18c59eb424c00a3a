"""What holds for every grayscale chain, whatever its numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.radiograph import WHITE
from cxr_node.pixels.description import Description
from cxr_node.pixels.grayscale import Chain, Rescale, Window, WindowFunction, p_values, pattern_table, stored_values

FINITE = st.floats(-1e6, 1e6, allow_nan=False)
SLOPES = st.floats(-1e3, 1e3, allow_nan=False).filter(lambda slope: abs(slope) > 1e-6)
WINDOWS = st.builds(Window, center=FINITE, width=st.floats(1, 1e6), function=st.sampled_from(WindowFunction))
RESCALES = st.builds(Rescale, slope=SLOPES, intercept=FINITE)
CHAINS = st.builds(Chain, modality=RESCALES, voi=WINDOWS, is_inverted=st.booleans())


@st.composite
def descriptions(draw: st.DrawFn) -> Description:
    """Draw any layout of samples in cells of 8 or 16 bits."""
    allocated = draw(st.sampled_from([8, 16]))
    stored = draw(st.integers(1, allocated))
    return Description(
        rows=1,
        columns=1,
        samples_per_pixel=1,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=draw(st.integers(stored - 1, allocated - 1)),
        is_signed=draw(st.booleans()),
        planar_configuration=0,
        number_of_frames=1,
    )


@pytest.mark.slow
@given(CHAINS, st.lists(st.integers(-32768, 65535), min_size=2, max_size=50))
def test_brightness_rises_or_falls_with_the_stored_value_and_never_turns(chain: Chain, stored: list[int]) -> None:
    assert isinstance(chain.modality, Rescale)
    shown = p_values(np.array(sorted(stored)), chain).astype(int)
    rising = (chain.modality.slope > 0) != chain.is_inverted
    assert (np.diff(shown) >= 0).all() if rising else (np.diff(shown) <= 0).all()


@pytest.mark.slow
@given(CHAINS, st.lists(st.integers(-32768, 65535), min_size=1, max_size=50))
def test_inversion_exchanges_black_and_white_and_nothing_else(chain: Chain, stored: list[int]) -> None:
    other = Chain(modality=chain.modality, voi=chain.voi, is_inverted=not chain.is_inverted)
    total = p_values(np.array(stored), chain).astype(int) + p_values(np.array(stored), other)
    assert np.abs(total - WHITE).max() <= 1


@pytest.mark.slow
@given(descriptions(), CHAINS, st.data())
def test_the_table_is_the_chain_and_dirty_bits_do_not_matter(
    description: Description, chain: Chain, data: st.DataObject
) -> None:
    pattern = data.draw(st.integers(0, (1 << description.bits_allocated) - 1))
    shift = description.high_bit + 1 - description.bits_stored
    sample = ((1 << description.bits_stored) - 1) << shift
    table = pattern_table(description, chain)
    assert table[pattern] == table[pattern & sample]
    assert table[pattern] == p_values(stored_values(np.array([pattern]), description), chain)[0]


@pytest.mark.slow
@given(descriptions(), st.data())
def test_every_stored_value_survives_its_cell(description: Description, data: st.DataObject) -> None:
    low, high = description.stored_range
    value = data.draw(st.integers(low, high))
    shift = description.high_bit + 1 - description.bits_stored
    pattern = (value & ((1 << description.bits_stored) - 1)) << shift
    assert stored_values(np.array([pattern]), description)[0] == value


@pytest.mark.slow
@given(st.floats(-1e4, 1e4), st.floats(2, 1e4), st.floats(-1e5, 1e5))
def test_a_linear_window_and_its_exact_twin_are_one(center: float, width: float, value: float) -> None:
    """PS3.3 sections C.11.2.1.2.1 and C.11.2.1.3.2: the same line, one wider by 1 and half a value to the left."""
    linear = Window(center=center, width=width)
    exact = Window(center=center - 0.5, width=width - 1, function=WindowFunction.LINEAR_EXACT)
    assert abs(linear(np.array([value])) - exact(np.array([value])))[0] < 1e-9
