"""A task may be done."""

import sqlalchemy as sa
from alembic import op

revision = "e2e2e2e2e2e2"
down_revision = "d1d1d1d1d1d1"


def upgrade():
    op.add_column("task", sa.Column("done", sa.Boolean(), nullable=False, server_default="0"))


def downgrade():
    op.drop_column("task", "done")
