"""Films that a person withdraws or shows again, and results that are issued anew; command line and page use it."""

from collections.abc import Mapping

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.rejection_titles import RejectedInstance, RejectionTitle
from cxr_node.ops import operator_log
from cxr_node.ops.formatting import counted
from cxr_node.records import films, rejection_notes, withdrawals
from cxr_node.records.rejection_notes import Rejection
from cxr_node.wiring.process import Process

CAUSES: Mapping[str, RejectionTitle] = {
    "safety": RejectionTitle.SAFETY,
    "worklist": RejectionTitle.WORKLIST,
    "quality": RejectionTitle.QUALITY,
}
"""Causes by which a person withdraws a film. One whose retention has expired is removed by `cxr-node purge`."""


class NothingWithdrawn(Exception):
    """The study has no such film, so nothing was changed; the message says so."""


def withdraw(
    process: Process,
    study_id: int,
    *,
    title: RejectionTitle,
    sop_instance_uid: Uid | None = None,
    note: str = "",
    by: str = "",
) -> int:
    """Hide the films of a study, or one of them, and withdraw the results that they are in; return their number.

    Destinations are told by rejection notes. What is left of the study is issued anew.

    Parameters
    ----------
    note
        Why, without patient data: rejection notes, log and audit trail repeat it.
    by
        The actor, by default the user of the command line.

    Raises
    ------
    NothingWithdrawn
        If the study has no such film that is not withdrawn.
    """
    actor = by or operator_log.operator_name()
    detail = f"withdrawn by a person{f': {note}' if note else ''}"
    rejection = Rejection(title=title, detail=detail, by=actor, at=process.clock())
    with process.database.write() as transaction:
        shown = films.of_study(transaction.connection, study_id)
        instances = dict.fromkeys(
            RejectedInstance(
                study_instance_uid=film.identity.study_instance_uid, sop_instance_uid=film.identity.sop_instance_uid
            )
            for film in shown
            if sop_instance_uid in (None, film.identity.sop_instance_uid)
        )
        if not instances:
            raise NothingWithdrawn(f"study {study_id} has no such film that is not withdrawn")
        hidden = rejection_notes.reject(transaction, list(instances), rejection)
    what = f"{counted(len(hidden), 'film')} {detail} ({title.meaning})"
    operator_log.record(process, what, subject=f"studies/{study_id}", by=actor)
    return len(hidden)


def restore(process: Process, study_id: int, *, by: str = "") -> int:
    """Show the withdrawn films of a study again, and have them read; return their number.

    Raises
    ------
    NothingWithdrawn
        If no film of the study is withdrawn, or none is kept.
    """
    actor = by or operator_log.operator_name()
    with process.database.write() as transaction:
        shown = rejection_notes.lift(transaction, study_id, actor=actor, now=process.clock())
    if not shown:
        raise NothingWithdrawn(f"study {study_id} has no withdrawn film that is kept")
    what = f"{counted(len(shown), 'withdrawn film')} to be read and reported again"
    operator_log.record(process, what, subject=f"studies/{study_id}", by=actor)
    return len(shown)


def reissue(process: Process, study_id: int, *, title: RejectionTitle, note: str = "", by: str = "") -> int:
    """Withdraw the results of a study, have them composed anew under other UIDs, and record it; return their number.

    `note` and `by` are those of `withdraw`.

    Raises
    ------
    NothingWithdrawn
        If the study has no film that new results could be composed of: its films were removed, moved or rejected.
    """
    actor = by or operator_log.operator_name()
    detail = f"issued anew{f': {note}' if note else ''}"
    with process.database.write() as transaction:
        if not films.of_study(transaction.connection, study_id):
            raise NothingWithdrawn(f"study {study_id} has no film left to issue results of")
        number = withdrawals.withdraw(transaction, study_id, title, detail=detail, actor=actor, now=process.clock())
    what = f"{counted(number, 'result')} withdrawn ({title.meaning}), to be {detail}"
    operator_log.record(process, what, subject=f"studies/{study_id}", by=actor)
    return number
