"""Train, judge and export the bundle lung-opacity.

    python -m training --films FOLDER --table CSV --work FOLDER --bundle FOLDER

Run again after an interruption, it goes on where it stopped. `docs/models/lung-opacity.md` says where NIH publishes
films and table.
"""

import argparse
from pathlib import Path

from training import datasets, evaluate, export, train

STEPS = ("train", "evaluate", "export")


def main() -> None:
    """Do the steps that the command line asks for, all of them unless it says otherwise."""
    parser = argparse.ArgumentParser(prog="python -m training", description=(__doc__ or "").splitlines()[0])
    datasets.add_options(parser)
    train.add_options(parser)
    parser.add_argument("--bundle", type=Path, required=True, help="folder to write the bundle to")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    arguments = parser.parse_args()
    if "train" in arguments.steps:
        train.run(arguments)
    if "evaluate" in arguments.steps:
        evaluate.run(arguments)
    if "export" in arguments.steps:
        export.run(arguments)


if __name__ == "__main__":
    main()
