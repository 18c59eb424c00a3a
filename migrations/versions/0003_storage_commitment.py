"""Storage commitment: what modalities ask to have vouched for, and what the archives were asked and said."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_STAGES = {"read": "film_id", "compose": "study_id", "deliver": "delivery_id"}
_LEGS_WITH_ANSWER = {**_STAGES, "answer": "commitment_id"}


def upgrade() -> None:
    op.create_table(
        "commitment",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("instances", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("requested_at", _TIME, nullable=False),
        sa.Column("answered_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment")),
        sa.UniqueConstraint(
            "calling_ae_title", "transaction_uid", name=op.f("uq_commitment_calling_ae_title_transaction_uid")
        ),
    )
    op.create_table(
        "inquiry",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("delivery_id", _ID, nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name=op.f("fk_inquiry_delivery_id_delivery")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inquiry")),
        sa.UniqueConstraint("transaction_uid", name=op.f("uq_inquiry_transaction_uid")),
    )
    op.create_index("ix_inquiry_delivery_id", "inquiry", ["delivery_id"])
    op.add_column("delivery", sa.Column("confirmed_at", _TIME, nullable=True))
    op.add_column("delivery", sa.Column("denied", sa.Integer(), nullable=True))
    _alter_jobs(_LEGS_WITH_ANSWER, instead_of=_STAGES)


def downgrade() -> None:
    op.execute("DELETE FROM job_event WHERE job_id IN (SELECT id FROM job WHERE stage = 'answer')")
    op.execute("DELETE FROM job WHERE stage = 'answer'")
    _alter_jobs(_STAGES, instead_of=_LEGS_WITH_ANSWER)
    op.drop_column("delivery", "denied")
    op.drop_column("delivery", "confirmed_at")
    op.drop_table("inquiry")
    op.drop_table("commitment")


def _alter_jobs(stages: dict[str, str], *, instead_of: dict[str, str]) -> None:
    """Let a job be of one of `stages`. SQLite makes the table anew, which it refuses while events refer to it."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if is_sqlite:
        op.execute("CREATE TABLE job_event_kept AS SELECT * FROM job_event")
        op.drop_table("job_event")
        _drop_indexes()
    with op.batch_alter_table("job", recreate="always" if is_sqlite else "never") as batch:
        if not is_sqlite:  # there it is not taken over from the old table
            batch.drop_constraint(op.f("ck_job_one_subject"), type_="check")
        if len(stages) > len(instead_of):
            batch.add_column(sa.Column("commitment_id", _ID, nullable=True))
            batch.create_foreign_key(op.f("fk_job_commitment_id_commitment"), "commitment", ["commitment_id"], ["id"])
            batch.create_unique_constraint(op.f("uq_job_commitment_id"), ["commitment_id"])
        else:
            batch.drop_constraint(op.f("uq_job_commitment_id"), type_="unique")
            batch.drop_constraint(op.f("fk_job_commitment_id_commitment"), type_="foreignkey")
            batch.drop_column("commitment_id")
        batch.create_check_constraint(op.f("ck_job_one_subject"), _one_subject(stages))
    if is_sqlite:
        _create_indexes()
        _create_events()
        columns = "id, job_id, at, event, state, actor, detail"
        op.execute(f"INSERT INTO job_event ({columns}) SELECT {columns} FROM job_event_kept")
        op.drop_table("job_event_kept")


def _one_subject(stages: dict[str, str]) -> str:
    cases = []
    for stage, subject in stages.items():
        columns = (f"{column} IS {'NOT ' if column == subject else ''}NULL" for column in stages.values())
        cases.append(f"(stage = '{stage}' AND {' AND '.join(columns)})")
    return " OR ".join(cases)


def _drop_indexes() -> None:
    for name in ("ix_job_running", "ix_job_study_id", "ix_job_waiting"):
        op.drop_index(name, table_name="job")


def _create_indexes() -> None:
    op.create_index("ix_job_running", "job", ["lease_until"], sqlite_where=sa.text("state = 'running'"))
    op.create_index("ix_job_study_id", "job", ["study_id"])
    op.create_index(
        "ix_job_waiting",
        "job",
        ["stage", sa.literal_column("priority DESC"), "due_at", "id"],
        sqlite_where=sa.text("state = 'waiting'"),
    )


def _create_events() -> None:
    op.create_table(
        "job_event",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_event_job_id_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_event")),
    )
    op.create_index("ix_job_event_job_id", "job_event", ["job_id"])
