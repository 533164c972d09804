"""a job knows its run"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("run_tokens", schema=None) as batch_op:
        batch_op.drop_column("own_run_taken")


def downgrade() -> None:
    with op.batch_alter_table("run_tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("own_run_taken", sa.String(), nullable=True))
