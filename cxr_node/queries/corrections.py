"""Corrections of a study in sentences: copies, rejected films and withdrawn results. No patient is named."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, RowMapping, select, union

from cxr_node.db.correction_tables import (
    corrected_copy,
    patient_message,
    rejected_film,
    rejected_instance,
    withdrawal,
)
from cxr_node.db.tables import delivery, film, result, study
from cxr_node.domain.clock import local_time
from cxr_node.domain.rejection_titles import RejectionTitle


def correction_sentences(connection: Connection, study_instance_uid: str) -> list[str]:
    """Return what was corrected and withdrawn in a study, and which destinations have the rejection notes."""
    of_study = connection, study_instance_uid
    return [*_copies(*of_study), *_rejections(*of_study), *_withdrawals(*of_study)]


def rejected_films(connection: Connection, study_id: int) -> dict[int, str]:
    """Return the rejected films of a study by number, each with the meaning of its title."""
    query = (
        select(film.c.id, rejected_film.c.title)
        .join(rejected_film, rejected_film.c.film_id == film.c.id)
        .where(film.c.study_id == study_id)
    )
    return {film_id: RejectionTitle(title).meaning for film_id, title in connection.execute(query)}


def _copies(connection: Connection, study_instance_uid: str) -> Iterator[str]:
    """Yield a sentence for each film of the study whose place a corrected copy took, and for each such copy.

    A union, because no index serves a condition on either of two tables.
    """
    first, copy, there = film.alias("first"), film.alias("copy"), study.alias("there")
    pairs = (
        select(
            first.c.id.label("first_id"),
            copy.c.id,
            copy.c.received_at,
            study.c.study_instance_uid,
            there.c.study_instance_uid,
            patient_message.c.event,
            patient_message.c.control_id,
            patient_message.c.sender,
        )
        .select_from(first)
        .join(copy, (copy.c.sop_instance_uid == first.c.sop_instance_uid) & (copy.c.id > first.c.id))
        .join(study, study.c.id == first.c.study_id)
        .join(there, there.c.id == copy.c.study_id)
        .outerjoin(corrected_copy, corrected_copy.c.film_id == copy.c.id)
        .outerjoin(patient_message, patient_message.c.id == corrected_copy.c.message_id)
        .where(copy.c.is_original.is_(True))
    )
    of_study = union(*(pairs.where(side.c.study_instance_uid == study_instance_uid) for side in (study, there)))
    rows = connection.execute(of_study.order_by("first_id"))
    for first_id, copy_id, at, of_first, of_copy, event, control_id, sender in rows:
        place = "" if of_first == of_copy else f" of study {of_first}"
        moved = "" if of_first == of_copy else f" of study {of_copy}"
        how = (
            f"made {local_time(at)} by ADT^{event} {control_id} of {sender}" if event else f"received {local_time(at)}"
        )
        yield f"film {copy_id}{moved}, {how}, corrected film {first_id}{place}"


def _rejections(connection: Connection, study_instance_uid: str) -> Iterator[str]:
    """Yield a sentence for each rejected film of the study, and for each rejected instance that is not here."""
    hidden = (
        select(rejected_film, film.c.id.label("number"))
        .join(film, film.c.id == rejected_film.c.film_id)
        .join(study, study.c.id == film.c.study_id)
        .where(study.c.study_instance_uid == study_instance_uid)
        .order_by(film.c.id)
    )
    for row in connection.execute(hidden):
        title = RejectionTitle(row.title).meaning
        yield f"film {row.number} rejected on {local_time(row.rejected_at)} by {row.rejected_by} ({title})"
    columns = rejected_instance.c
    pending = select(rejected_instance).where(
        columns.study_instance_uid == study_instance_uid, columns.applied_at.is_(None), columns.lifted_at.is_(None)
    )
    for row in connection.execute(pending.order_by(columns.id)):
        title = RejectionTitle(row.title).meaning
        at = local_time(row.rejected_at)
        yield f"instance {row.sop_instance_uid}, not here as a film, rejected on {at} by {row.rejected_by} ({title})"


def _withdrawals(connection: Connection, study_instance_uid: str) -> Iterator[str]:
    """Yield a sentence for each time that results of the study were withdrawn."""
    rows = connection.execute(
        select(withdrawal)
        .join(result, result.c.id == withdrawal.c.result_id)
        .join(study, study.c.id == result.c.study_id)
        .where(study.c.study_instance_uid == study_instance_uid)
        .order_by(withdrawal.c.id)
    ).mappings()
    groups: defaultdict[tuple[object, ...], list[RowMapping]] = defaultdict(list)
    for row in rows:
        groups[row["withdrawn_at"], row["title"]].append(row)
    for group in groups.values():
        row = group[0]
        noted = {one["result_id"]: one["note_id"] for one in group if one["note_id"] is not None}
        notified = _notified(connection, noted)
        number = f"{len(group)} result{'s' * (len(group) > 1)}"
        cause = f"{RejectionTitle(row['title']).meaning}: {row['detail']}"
        yield f"{number} withdrawn on {local_time(row['withdrawn_at'])} ({cause}); {notified}"


def _notified(connection: Connection, noted: Mapping[int, int]) -> str:
    """Return which destinations have the rejection notes, and when, and which are still to have them or take none.

    `noted` are the notes of results.
    """
    query = (
        select(delivery.c.destination, delivery.c.delivered_at)
        .where(delivery.c.result_id.in_(set(noted.values())))
        .order_by(delivery.c.destination, delivery.c.id)
    )
    last = dict[str, str]()
    for destination, at in connection.execute(query):
        if at is None or last.get(destination) != "to be told":
            last[destination] = "to be told" if at is None else f"told on {local_time(at)}"
    delivered = delivery.c.first_delivered_at.is_not(None) | delivery.c.delivered_at.is_not(None)
    have_results = select(delivery.c.destination).where(delivery.c.result_id.in_(noted), delivered).distinct()
    for destination in sorted(set(connection.execute(have_results).scalars()) - last.keys()):
        last[destination] = "takes no rejection notes: remove the results there"
    return ", ".join(f"{name} {words}" for name, words in last.items()) or "no destination has had them"
