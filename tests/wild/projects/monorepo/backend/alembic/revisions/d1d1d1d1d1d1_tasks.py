"""Tasks."""

import sqlalchemy as sa
from alembic import op

revision = "d1d1d1d1d1d1"
down_revision = None


def upgrade():
    op.create_table(
        "task",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("title", sa.String(), nullable=False),
    )


def downgrade():
    op.drop_table("task")
