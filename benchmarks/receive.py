"""Receive throughput of this node, DCMTK's storescp, Orthanc and pynetdicom's storescp, compared in one run.

    python -m benchmarks.receive                                      # the table, about six minutes
    python -m benchmarks.receive --kinds "15 MB DX" --senders 16 --seconds 3 --rounds 7
    python -m benchmarks.receive --node pynetdicom:receive.path=pynetdicom  # one more node, with its own setting
    python -m benchmarks.receive --postgresql --plot pictures --json receive.json
    python -m benchmarks.receive --stow --peers                       # the node by STOW-RS and by C-STORE
    python -m benchmarks.receive --idle 32                            # cost of idle associations
    python -m benchmarks.receive --flat 10000 --kinds "10 kB DX"      # memory over 10,000 films
    python -m benchmarks.receive --storescu                           # DCMTK's storescu as shipped: Nagle on

A separate process sends the films on the loopback interface (benchmarks/load/sender.py). It is not the bottleneck; the
table has its share of a core. It shares no code with the node's upper layer, whose defects could otherwise be on both
sides. Each film has its own patient, study and UIDs. Receivers take turns of at most --seconds and --megabytes. Between
turns, stored films are removed and the disk is synchronised. A receiver that stores fewer films than it answered with
Success fails the run. "node / it" is the median, minimum and maximum of each round's ratio. Response times begin with a
film's first byte, on an open association: storescp without --fork serves one association at a time, and no column
includes the wait for the next.

Peer names may have options: "storescp nodelay fork 128k exact" sets TCP_NODELAY=1, --fork, --max-pdu 131072 and +B.
"pynetdicom minimal" has a handler that only writes the file, and accepts more than ten associations.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.load import films, modes, receivers, rounds
from benchmarks.load.receivers import Receiver
from benchmarks.load.rounds import Bounds, Cell, Runs
from benchmarks.load.sender_process import sender
from benchmarks.load.tables import markdown
from cxr_node.faults import postgres_server, scratch

OURS = "node"
_MANY = ("15 MB DX", "2 MB DX", "10 kB DX")
DEFAULT = (
    *(Cell(kind=kind, senders=senders) for kind in _MANY for senders in (1, 4, 16)),
    Cell(kind="10 MB CR", senders=4),
    Cell(kind="JPEG Lossless DX", senders=4),
    Cell(kind="10 kB DX", senders=4, per_association=1),
    Cell(kind="10 kB DX", senders=1, nagle=True),
)


def cells(arguments: argparse.Namespace) -> Sequence[Cell]:
    """Return the requested comparisons, or the defaults."""
    if not (arguments.kinds or arguments.senders or arguments.per_association is not None or arguments.nagle):
        return DEFAULT
    return [
        Cell(kind=kind, senders=senders, per_association=arguments.per_association or 0, nagle=arguments.nagle)
        for kind in arguments.kinds or _MANY
        for senders in arguments.senders or (1, 4, 16)
    ]


@contextmanager
def running(arguments: argparse.Namespace, folder: Path) -> Iterator[list[Receiver]]:
    """Run the requested nodes, then the installed peers."""
    with ExitStack() as stack:
        nodes = {OURS: list(arguments.set)}
        for text in arguments.node:
            name, _, sets = text.partition(":")
            nodes[name] = [*arguments.set, *filter(None, sets.split(","))]
        started: list[Receiver] = []
        at = stack.enter_context(postgres_server.running(postgres_server.binaries())) if arguments.postgresql else None
        for number, (name, sets) in enumerate(nodes.items()):
            url = "" if at is None else stack.enter_context(scratch.schema(at.url))
            started.append(stack.enter_context(receivers.node(name, folder / f"node-{number}", url=url, sets=sets)))
        if arguments.stow:
            started.append(stack.enter_context(receivers.node("node, STOW-RS", folder / "node-stow", by_stow=True)))
        for number, name in enumerate(modes.peers_of(arguments) if arguments.peers is None else arguments.peers):
            if receivers.available(name):
                started.append(stack.enter_context(receivers.peer(name, folder / f"peer-{number}")))
            else:
                print(f"{name}: not installed, skipped", flush=True)
        yield started


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """Compare the receivers; print the table line by line."""
    bounds = Bounds(seconds=arguments.seconds, megabytes=arguments.megabytes)
    everything: list[dict[str, object]] = []
    runs = Runs()

    def lines(started: Sequence[Receiver]) -> Iterator[Sequence[str]]:
        with sender() as sending:
            for cell in cells(arguments):
                path = films.write(folder, cell.kind)
                results = rounds.compared(
                    started, cell, path, sending=sending, bounds=bounds, rounds=arguments.rounds, runs=runs
                )
                everything.append(
                    {
                        "cell": asdict(cell),
                        "rounds": {name: list(map(asdict, turns)) for name, turns in results.items()},
                    }
                )
                yield from rounds.rows(cell, results, ours=OURS)

    with running(arguments, folder) as started:
        for line in markdown(rounds.HEADINGS, lines(started)):
            print(line, flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(everything), encoding="utf-8")
    if arguments.plot is not None:
        from benchmarks.load import charts

        for picture in charts.of_receiving(everything, arguments.plot):
            print(f"picture: {picture.name}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kinds", nargs="+", choices=list(films.KINDS), default=[])
    options.add_argument("--senders", nargs="+", type=int, default=[])
    options.add_argument("--per-association", type=int, help="films on one association; 0 for many")
    options.add_argument("--nagle", action="store_true", help="leave Nagle's algorithm on at the sender")
    options.add_argument("--peers", nargs="*", metavar="NAME")
    options.add_argument(
        "--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="a setting of the node"
    )
    options.add_argument("--node", action="append", default=[], metavar="NAME:SETTING,...", help="one more node")
    options.add_argument("--stow", action="store_true", help="one more node, which receives by STOW-RS")
    options.add_argument("--postgresql", action="store_true", help="run the nodes on a temporary PostgreSQL")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=0.5, help="per turn")
    options.add_argument("--megabytes", type=float, default=600.0, help="per turn")
    options.add_argument("--json", type=Path, help="file for the results of every round")
    options.add_argument("--plot", type=Path, help="folder for pictures")
    options.add_argument("--folder", type=Path, help="parent of the temporary folder of films")
    modes.add(options)
    return options


def main() -> None:
    """Run the requested benchmark."""
    arguments = parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="cxr-receive-", dir=arguments.folder) as name:
        chosen = modes.chosen(arguments)
        if chosen is None:
            compare(arguments, Path(name))
            return
        with running(arguments, Path(name)) as started:
            for line in markdown(*chosen(arguments, Path(name), started)):
                print(line, flush=True)


if __name__ == "__main__":
    main()
