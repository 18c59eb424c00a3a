"""`python -m cxr_node` and the console script `cxr-node`."""

import gc
import os
import sys


def main() -> None:
    """Run the command line. The role starter takes a short cut past the people's commands.

    Garbage is not collected until the command is imported: imports make many objects and hardly any garbage. pydantic
    loads no plugins: it would read the entry points of every installed distribution for them.
    """
    gc.disable()
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    if sys.argv[1:2] == ["role-starter"]:
        from cxr_node.service import role_starter

        gc.enable()
        sys.exit(role_starter.main(sys.argv[2:]))
    from cxr_node.cli.app import app

    app()


if __name__ == "__main__":
    main()
