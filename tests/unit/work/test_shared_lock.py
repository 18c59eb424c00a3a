"""Readers-writer lock."""

import threading

from cxr_node.work.shared_lock import SharedLock

SOON_S = 30.0


def test_an_exclusive_holder_waits_for_shared_ones_and_blocks_new_ones() -> None:
    lock, order = SharedLock(), []
    is_shared, may_leave, is_exclusive, may_end = (threading.Event() for _ in range(4))

    def share() -> None:
        with lock.shared():
            is_shared.set()
            may_leave.wait(SOON_S)
            order.append("released")

    def exclude() -> None:
        with lock.exclusive():
            order.append("exclusive")
            is_exclusive.set()
            may_end.wait(SOON_S)
            order.append("exclusive released")

    def share_later() -> None:
        with lock.shared():
            order.append("shared")

    first, second, third = (threading.Thread(target=work) for work in (share, exclude, share_later))
    first.start()
    assert is_shared.wait(SOON_S)
    second.start()
    assert not is_exclusive.is_set()
    may_leave.set()
    assert is_exclusive.wait(SOON_S)
    third.start()
    may_end.set()
    for thread in (first, second, third):
        thread.join(SOON_S)

    assert order == ["released", "exclusive", "exclusive released", "shared"]


def test_shared_holders_do_not_wait_for_each_other() -> None:
    lock = SharedLock()

    with lock.shared(), lock.shared():
        pass
    with lock.exclusive():
        pass
