"""Orders, and people."""

import sqlalchemy as sa
from alembic import op

revision = "1a1a1a1a1a1a"
down_revision = None


def upgrade(engine_name):
    globals()[f"upgrade_{engine_name}"]()


def downgrade(engine_name):
    globals()[f"downgrade_{engine_name}"]()


def upgrade_():
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("what", sa.Text, nullable=False),
    )


def downgrade_():
    op.drop_table("orders")


def upgrade_users():
    op.create_table(
        "people",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("mail", sa.Text, nullable=False),
    )


def downgrade_users():
    op.drop_table("people")
