"""`python -m cxr_node.phantom`: the same as `cxr-node phantom`."""

from cxr_node.phantom.commands import app

if __name__ == "__main__":
    app()
