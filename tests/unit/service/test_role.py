"""Process of one role."""

import gc

import pytest

from cxr_node.service import role


@pytest.mark.slow
def test_garbage_collections_skip_the_objects_of_the_start() -> None:
    objects = len(gc.get_objects())
    try:
        role._freeze_garbage_collector()
        assert gc.get_freeze_count() > objects / 2
        assert len(gc.get_objects()) < objects / 2
    finally:
        gc.unfreeze()
