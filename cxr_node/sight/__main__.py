"""`python -m cxr_node.sight DESCRIPTOR`: what `eyes` starts. Apart from `eye`, whose values are known by its name."""

import sys

from cxr_node.sight import eye

eye.main(int(sys.argv[1]))
