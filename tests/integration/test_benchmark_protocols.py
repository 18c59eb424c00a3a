"""Costs of protocols: every row is measured, and held against its base."""

from pathlib import Path

import pytest

from benchmarks import protocols


@pytest.mark.long
def test_every_protocol_is_measured_against_its_base(tmp_path: Path) -> None:
    parts = {
        "report by C-STORE": protocols.deliveries(2),
        "requests of a step alone": protocols.steps(2, tmp_path),
        "the same film by C-STORE": protocols.prior_films(2),
        "way of a film to the PACS": protocols.export(2, tmp_path),
    }

    rows = [line for base, times in parts.items() for line in protocols.table(times, base)]
    assert len(rows) == 10
    assert {len(rounds) for times in parts.values() for rounds in times.values()} == {2}
    assert next(row for row in rows if row.startswith("| report by C-STORE")).endswith("1.00 (1.00-1.00) |")
