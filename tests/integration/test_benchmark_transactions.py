"""Transaction rates of the capacity model."""

import json
from pathlib import Path

import pytest

from benchmarks.simulation.samples import add_transactions
from cxr_node.faults import postgres_server


@pytest.mark.long
def test_rates_of_both_databases_are_added_to_the_measurements(tmp_path: Path) -> None:
    try:
        postgres_server.binaries()
    except postgres_server.NoServer as missing:
        pytest.skip(str(missing))
    measured = tmp_path / "measured.json"
    measured.write_text('{"machine": "a machine"}', encoding="utf-8")

    add_transactions(measured)

    document = json.loads(measured.read_text(encoding="utf-8"))
    assert document["machine"] == "a machine"
    assert document["transactions"].keys() == {"sqlite", "postgresql"}
    for rates in document["transactions"].values():
        assert rates["one worker"] > 1
        assert rates["eight workers"] > 1
