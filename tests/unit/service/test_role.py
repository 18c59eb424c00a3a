"""Process of a role."""

import gc

from cxr_node.service import role


def test_objects_of_the_start_are_frozen_for_the_garbage_collector() -> None:
    loaded = len(gc.get_objects())
    try:
        role._keep_what_is_loaded()
        assert gc.get_freeze_count() > loaded / 2
        assert len(gc.get_objects()) < loaded / 2
    finally:
        gc.unfreeze()
