"""Processor time that the rows of a film cost, where it comes alone and where it comes among others.

    python -m benchmarks.rows [--films 480] [--rounds 5]

Rows of films of different studies in a SQLite file, so many of them in one transaction; its commit is among it. The
median of the rounds, each with a database of its own.
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
from tests.support.queue import arrived

_TOGETHER = (1, 4, 12, 64)


def spent_ms(folder: Path, together: int, count: int) -> float:
    """Return milliseconds of processor time for each of `count` films, `together` in a transaction."""
    database = Database(f"sqlite:///{folder / 'node.db'}")
    migrate.upgrade(database)
    films = [arrived(f"film {number}", of=f"study {number}") for number in range(count + _TOGETHER[-1])]
    with database.write() as transaction:
        ingest.write(transaction, films[count:])
    start = time.process_time()
    for first in range(0, count, together):
        with database.write() as transaction:
            ingest.write(transaction, films[first : min(first + together, count)])
    spent = time.process_time() - start
    database.close()
    return spent * 1000 / count


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    spent: dict[int, list[float]] = {together: [] for together in _TOGETHER}
    for _ in range(options.rounds):
        for together, times in spent.items():
            with tempfile.TemporaryDirectory() as folder:
                times.append(spent_ms(Path(folder), together, options.films))
    rows = [(str(together), f"{statistics.median(times):.2f}") for together, times in spent.items()]
    for line in markdown(("films in a transaction", "CPU ms/film"), rows):
        print(line)


if __name__ == "__main__":
    main()
