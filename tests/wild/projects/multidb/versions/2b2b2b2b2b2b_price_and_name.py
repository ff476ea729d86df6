"""A price for an order, a name for who has none."""

import sqlalchemy as sa
from alembic import op

revision = "2b2b2b2b2b2b"
down_revision = "1a1a1a1a1a1a"


def upgrade(engine_name):
    globals()[f"upgrade_{engine_name}"]()


def downgrade(engine_name):
    globals()[f"downgrade_{engine_name}"]()


def upgrade_engine1():
    op.add_column("orders", sa.Column("price", sa.Integer))


def downgrade_engine1():
    op.drop_column("orders", "price")


def upgrade_engine2():
    with op.batch_alter_table("people") as people:
        people.add_column(sa.Column("name", sa.Text, nullable=False, server_default="?"))


def downgrade_engine2():
    with op.batch_alter_table("people") as people:
        people.drop_column("name")
