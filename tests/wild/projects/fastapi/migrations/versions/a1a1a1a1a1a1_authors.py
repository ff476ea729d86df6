"""Authors."""

import sqlalchemy as sa
from alembic import op

revision = "a1a1a1a1a1a1"
down_revision = None


def upgrade():
    op.create_table(
        "author",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
    )
    op.create_index("ix_author_name", "author", ["name"])


def downgrade():
    op.drop_table("author")
