"""Train, judge and export the bundle `chest`.

    python -m training --films FOLDER --table CSV --work FOLDER --bundle FOLDER

Run again after an interruption, it goes on where it stopped. `docs/models/chest.md` says where NIH publishes films and
table.
"""

import argparse
from pathlib import Path

from training import anatomy, datasets, evaluate, export, findings, phantoms, report, views

STEPS = {
    "phantoms": phantoms.run,
    "anatomy": anatomy.run,
    "views": views.run,
    "judge": evaluate.run,
    "findings": findings.run,
    "export": export.run,
    "report": report.run,
}


def main() -> None:
    """Do the steps that the command line asks for, all of them unless it says otherwise."""
    parser = argparse.ArgumentParser(prog="python -m training", description=(__doc__ or "").splitlines()[0])
    for part in (datasets, phantoms, anatomy, evaluate, report):
        part.add_options(parser)
    parser.add_argument("--bundle", type=Path, required=True, help="folder to write the bundle to")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS), help="in the order given")
    arguments = parser.parse_args()
    for step in arguments.steps:
        STEPS[step](arguments)


if __name__ == "__main__":
    main()
