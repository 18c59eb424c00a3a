"""Entry point `python -m cxr_node.process_pool DESCRIPTOR BYTES`, started by the pool.

Separate from `worker`: pickled values of a module run as `__main__` would lose their module's name.
"""

import sys

from cxr_node.process_pool import worker

worker.main(int(sys.argv[1]), int(sys.argv[2]))
