"""The built-in bundle, opened once for all tests of a process: opening takes seconds."""

from functools import cache

from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.bundle import Bundle


@cache
def built_in_bundle() -> Bundle:
    """Return the opened bundle; its network is not to be changed."""
    return bundle.load(bundle_registry.find("chest"))
