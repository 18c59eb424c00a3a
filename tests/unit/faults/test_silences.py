"""Simulated peers that do not answer are silent for longer than the fault suite waits."""

import pytest

from cxr_node.faults import prior_modes, receiver_modes, worklist_modes
from cxr_node.simulators import dicomweb, fhir, query_archive, ris, worklist_steps


@pytest.mark.parametrize(
    ("silence_s", "timeout_s"),
    [
        pytest.param(dicomweb._SILENCE_S, receiver_modes._TIMEOUT_S, id="DICOMweb"),
        pytest.param(ris._SILENCE_S, receiver_modes._TIMEOUT_S, id="HL7"),
        pytest.param(fhir._SILENCE_S, receiver_modes._TIMEOUT_S, id="FHIR"),
        pytest.param(worklist_steps.SILENCE_S, worklist_modes._TIMEOUT_S, id="worklist"),
        pytest.param(query_archive._SILENCE_S, prior_modes._TIMEOUT_S, id="archive"),
    ],
)
def test_a_silent_peer_outlasts_the_time_out(silence_s: float, timeout_s: float) -> None:
    assert silence_s > timeout_s
