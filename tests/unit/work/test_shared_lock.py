"""Those who run beside each other, and one alone."""

import threading

from cxr_node.work.shared_lock import SharedLock

SOON_S = 30.0


def test_one_that_runs_alone_waits_for_the_others_and_they_for_it() -> None:
    company, order = SharedLock(), []
    in_company, may_leave, is_alone, may_end = (threading.Event() for _ in range(4))

    def beside() -> None:
        with company.shared():
            in_company.set()
            may_leave.wait(SOON_S)
            order.append("left")

    def apart() -> None:
        with company.exclusive():
            order.append("alone")
            is_alone.set()
            may_end.wait(SOON_S)
            order.append("ended")

    def later() -> None:
        with company.shared():
            order.append("came")

    first, second, third = (threading.Thread(target=work) for work in (beside, apart, later))
    first.start()
    assert in_company.wait(SOON_S)
    second.start()
    assert not is_alone.is_set()
    may_leave.set()
    assert is_alone.wait(SOON_S)
    third.start()
    may_end.set()
    for thread in (first, second, third):
        thread.join(SOON_S)

    assert order == ["left", "alone", "ended", "came"]


def test_those_beside_each_other_do_not_wait() -> None:
    company = SharedLock()

    with company.shared(), company.shared():
        pass
    with company.exclusive():
        pass
