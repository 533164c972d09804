"""own run of a token"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("run_tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("own_run_taken", sa.String(), nullable=True))
    # Jobs of runs that have one were given its id.
    op.execute(
        "UPDATE run_tokens SET own_run_taken = 'MLFLOW_RUN_ID' "
        "WHERE run_id IN (SELECT id FROM runs WHERE mlflow_run_id IS NOT NULL)"
    )


def downgrade() -> None:
    with op.batch_alter_table("run_tokens", schema=None) as batch_op:
        batch_op.drop_column("own_run_taken")
