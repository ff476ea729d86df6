"""Whether a user may log in; the table is built anew, and purchases point to it."""

import sqlalchemy as sa
from alembic import op

revision = "3c4d5e6f7a8b"
down_revision = "2b3c4d5e6f7a"


def upgrade():
    with op.batch_alter_table("user", recreate="always") as batch:
        batch.add_column(sa.Column("active", sa.Boolean(), nullable=False, server_default="1"))


def downgrade():
    with op.batch_alter_table("user") as batch:
        batch.drop_column("active")
