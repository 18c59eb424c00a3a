"""A role's process."""

import gc

from cxr_node.service import role


def test_what_is_loaded_at_the_start_is_not_looked_through_at_each_collection() -> None:
    loaded = len(gc.get_objects())
    try:
        role._keep_what_is_loaded()
        assert gc.get_freeze_count() > loaded / 2
        assert len(gc.get_objects()) < loaded / 2
    finally:
        gc.unfreeze()
