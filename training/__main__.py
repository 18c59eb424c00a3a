"""Trains, evaluates and exports the bundle `chest`.

    python -m training --films FOLDER --table CSV --readings CSV --readings-films FOLDER --work FOLDER --bundle FOLDER

Run again after an interruption, it resumes. `docs/models/chest.md` states where NIH publishes films and table.
"""

import argparse
from pathlib import Path

from training import anatomy, datasets, evaluate, export, findings, phantoms, report, views

STEPS = {
    "phantoms": phantoms.run,
    "anatomy": anatomy.run,
    "views": views.run,
    "evaluate": evaluate.run,
    "findings": findings.run,
    "export": export.run,
    "report": report.run,
}


def main() -> None:
    """Run the steps of the command line, by default all."""
    parser = argparse.ArgumentParser(prog="python -m training", description=(__doc__ or "").splitlines()[0])
    for part in (datasets, phantoms, anatomy, evaluate, findings, report):
        part.add_options(parser)
    parser.add_argument("--bundle", type=Path, required=True, help="folder to write the bundle to")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS), help="run in this order")
    arguments = parser.parse_args()
    for step in arguments.steps:
        STEPS[step](arguments)


if __name__ == "__main__":
    main()
