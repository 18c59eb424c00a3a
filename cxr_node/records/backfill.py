"""What a node of an earlier version leaves out of its rows, filled in: after an upgrade, and while both are at work."""

from sqlalchemy import func, literal, select, update

from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.db.tables import delivery, film, job, result, study

_AT_ONCE = 5000

# Literals, so that the partial index is seen to fit.
_IS_UNNAMED = job.c.of_study_id.is_(None) & (job.c.stage != literal(Stage.ANSWER.value, literal_execute=True))


def fill(transaction: Transaction, *, limit: int = _AT_ONCE) -> int:
    """Say of up to `limit` jobs which study they are of, and give them its head start; return how many those were.

    It costs one look at an index where there are none. Those that somebody is at are left for the next time.
    """
    unnamed = select(job.c.id).where(_IS_UNNAMED).order_by(job.c.id).limit(limit).with_for_update(skip_locked=True)
    ids = transaction.connection.execute(unnamed).scalars().all()
    if not ids:
        return 0
    of_film = select(film.c.study_id).where(film.c.id == job.c.film_id).scalar_subquery()
    of_result = (
        select(result.c.study_id)
        .join(delivery, delivery.c.result_id == result.c.id)
        .where(delivery.c.id == job.c.delivery_id)
        .scalar_subquery()
    )
    named = update(job).where(job.c.id.between(ids[0], ids[-1]), job.c.id.in_(ids))
    transaction.connection.execute(named.values(of_study_id=func.coalesce(job.c.study_id, of_film, of_result)))
    priority_boost_s = select(study.c.priority).where(study.c.id == job.c.of_study_id).scalar_subquery()
    urgent = named.where(job.c.priority < priority_boost_s)
    transaction.connection.execute(urgent.values(priority=priority_boost_s))
    return len(ids)


def fill_all(database: Database) -> int:
    """Fill in every job, a few thousand at a time, so that nobody else waits for long; return how many those were."""
    filled = 0
    while True:
        with database.write() as transaction:
            more = fill(transaction)
        if not more:
            return filled
        filled += more
