"""trained models"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trained_models",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("connection_id", sa.Uuid(), nullable=True),
        sa.Column("uri", sa.String(), nullable=True),
        sa.Column("location", sa.String(), nullable=True),
        sa.Column("mlflow_parameters", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("artifact_path", sa.String(), nullable=True),
        sa.Column("logged_model_id", sa.String(), nullable=True),
        sa.Column("mlflow_run_id", sa.String(), nullable=True),
        sa.Column("mlflow_name", sa.String(), nullable=True),
        sa.Column("mlflow_version", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("uncertain_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dockerfile", sa.String(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_trained_models_connection_id_connections")
        ),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_trained_models_created_by_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_trained_models_project_id_projects")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_trained_models_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trained_models")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_trained_models_project_id_name")),
    )
    with op.batch_alter_table("trained_models", schema=None) as batch_op:
        batch_op.create_index("ix_trained_models_due", ["due_at"], unique=False)
        batch_op.create_index("ix_trained_models_listing", ["project_id", "created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_trained_models_run_id"), ["run_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("trained_models", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_trained_models_run_id"))
        batch_op.drop_index("ix_trained_models_listing")
        batch_op.drop_index("ix_trained_models_due")

    op.drop_table("trained_models")
