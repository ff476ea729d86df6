"""Orders, and people."""

import sqlalchemy as sa
from alembic import op

revision = "1a1a1a1a1a1a"
down_revision = None


def upgrade(engine_name):
    globals()[f"upgrade_{engine_name}"]()


def downgrade(engine_name):
    globals()[f"downgrade_{engine_name}"]()


def upgrade_engine1():
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("what", sa.Text, nullable=False),
    )


def downgrade_engine1():
    op.drop_table("orders")


def upgrade_engine2():
    op.create_table(
        "people",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("mail", sa.Text, nullable=False),
    )


def downgrade_engine2():
    op.drop_table("people")
