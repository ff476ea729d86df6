"""Notes may be pinned; an author has an address."""

import sqlalchemy as sa
from alembic import op

revision = "c3c3c3c3c3c3"
down_revision = "b2b2b2b2b2b2"


def upgrade():
    with op.batch_alter_table("note") as batch:
        batch.add_column(sa.Column("pinned", sa.Boolean(), nullable=False, server_default="0"))
    op.add_column("author", sa.Column("email", sa.String()))


def downgrade():
    op.drop_column("author", "email")
    op.drop_column("note", "pinned")
