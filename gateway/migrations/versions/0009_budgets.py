"""budgets"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

HOURS = ("worst_core_hours", "worst_gpu_hours", "core_hours", "gpu_hours")


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("guard", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("run_core_hours", sa.Double(), nullable=True),
        sa.Column("run_gpu_hours", sa.Double(), nullable=True),
        sa.Column("month_core_hours", sa.Double(), nullable=True),
        sa.Column("month_gpu_hours", sa.Double(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["changed_by"], ["users.id"], name=op.f("fk_budgets_changed_by_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_budgets_project_id_projects")),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_budgets")),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        for name in HOURS:
            batch_op.add_column(sa.Column(name, sa.Double(), nullable=True))
        batch_op.create_index("ix_runs_budget", ["project_id", "ended_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index("ix_runs_budget")
        for name in HOURS:
            batch_op.drop_column(name)

    op.drop_table("budgets")
