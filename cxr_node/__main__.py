"""`python -m cxr_node` and the console script `cxr-node`."""

import sys


def main() -> None:
    """Run the command line. A role's process takes a short cut past the people's commands."""
    if sys.argv[1:2] == ["role"]:
        from cxr_node.service import role

        sys.exit(role.main(sys.argv[2:]))
    from cxr_node.cli.app import app

    app()


if __name__ == "__main__":
    main()
