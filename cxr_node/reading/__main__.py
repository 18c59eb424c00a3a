"""Entry point `python -m cxr_node.reading DESCRIPTOR`, started by the preprocessing pool.

Separate from `pool_worker`: pickled values of a module run as `__main__` would lose their module's name.
"""

import sys

# Stages are imported before readiness is reported, so that the first film does not pay for it.
from cxr_node.reading import pool_worker, postprocess, preprocess  # noqa: F401

pool_worker.main(int(sys.argv[1]))
