"""what jobs track beside themselves"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tracking_journals",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ids", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("missing", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("first_refusal", sa.String(), nullable=True),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_tracking_journals_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_tracking_journals")),
    )
    with op.batch_alter_table("tracking_journals", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tracking_journals_due_at"), ["due_at"], unique=False)
    # Runs that are there already track as their script was made.
    with op.batch_alter_table("manifests", schema=None) as batch_op:
        batch_op.add_column(sa.Column("local_tracking", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("manifests", schema=None) as batch_op:
        batch_op.alter_column("local_tracking", server_default=None)
    with op.batch_alter_table("sites", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tracking", sa.String(), nullable=False, server_default="local"))
    with op.batch_alter_table("sites", schema=None) as batch_op:
        batch_op.alter_column("tracking", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("sites", schema=None) as batch_op:
        batch_op.drop_column("tracking")
    with op.batch_alter_table("manifests", schema=None) as batch_op:
        batch_op.drop_column("local_tracking")
    with op.batch_alter_table("tracking_journals", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tracking_journals_due_at"))

    op.drop_table("tracking_journals")
