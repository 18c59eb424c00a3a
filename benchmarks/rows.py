"""CPU time of writing the rows of a film, alone and in batches.

    python -m benchmarks.rows [--films 480] [--rounds 5]

Films of different studies in a SQLite file, a batch in each transaction, commit included. Median of the rounds, each
with a new database.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.load.tables import markdown
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.records import ingest
from tests.support.queue import incoming_film

_BATCHES = (1, 4, 12, 64)


def cpu_ms(folder: Path, batch: int, count: int) -> float:
    """Return milliseconds of CPU time for each of `count` films, `batch` in a transaction."""
    database = Database(f"sqlite:///{folder / 'node.db'}")
    migrate.upgrade(database)
    films = [incoming_film(f"film {number}", study=f"study {number}") for number in range(count + _BATCHES[-1])]
    with database.write() as transaction:
        ingest.write(transaction, films[count:])
    start = time.process_time()
    for first in range(0, count, batch):
        with database.write() as transaction:
            ingest.write(transaction, films[first : min(first + batch, count)])
    cpu_s = time.process_time() - start
    database.close()
    return cpu_s * 1000 / count


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    times_ms: dict[int, list[float]] = {batch: [] for batch in _BATCHES}
    for _ in range(options.rounds):
        for batch, times in times_ms.items():
            with tempfile.TemporaryDirectory() as folder:
                times.append(cpu_ms(Path(folder), batch, options.films))
    rows = [(str(batch), f"{statistics.median(times):.2f}") for batch, times in times_ms.items()]
    for line in markdown(("films in a transaction", "CPU ms/film"), rows):
        print(line)


if __name__ == "__main__":
    main()
