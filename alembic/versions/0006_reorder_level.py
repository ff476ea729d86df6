"""How low an item may run before it is ordered again."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "items", sa.Column("reorder_level", sa.Integer, nullable=False, server_default="0")
    )
    op.create_index("ix_items_name", "items", ["name"])


def downgrade() -> None:
    op.drop_index("ix_items_name", "items")
    op.drop_column("items", "reorder_level")
