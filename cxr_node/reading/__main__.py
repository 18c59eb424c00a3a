"""`python -m cxr_node.sight DESCRIPTOR`: what `eyes` starts. Apart from `eye`, whose values are known by its name."""

import sys

from cxr_node.reading import pool_worker

pool_worker.main(int(sys.argv[1]))
