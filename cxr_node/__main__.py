"""`python -m cxr_node` and the console script `cxr-node`."""

import sys


def main() -> None:
    """Run the command line. The role starter takes a short cut past the people's commands."""
    if sys.argv[1:2] == ["role-starter"]:
        from cxr_node.service import role_starter

        sys.exit(role_starter.main(sys.argv[2:]))
    from cxr_node.cli.app import app

    app()


if __name__ == "__main__":
    main()
