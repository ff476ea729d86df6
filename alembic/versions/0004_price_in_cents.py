"""Prices as whole cents, in items rebuilt: a parent table with children.

A rebuild drops the old table, so its triggers go with it and are made again, and no foreign key
may be enforced meanwhile: with PRAGMA foreign_keys on, DROP TABLE deletes the children's rows.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
accepts_loss = ["items.price"]  # it is in price_cents, as a number

SEARCH_TRIGGERS = {
    "item_search_insert": """
AFTER INSERT ON items BEGIN
  INSERT INTO item_search (rowid, name) VALUES (NEW.id, NEW.name);
END""",
    "item_search_delete": """
AFTER DELETE ON items BEGIN
  INSERT INTO item_search (item_search, rowid, name) VALUES ('delete', OLD.id, OLD.name);
END""",
    "item_search_update": """
AFTER UPDATE OF name ON items BEGIN
  INSERT INTO item_search (item_search, rowid, name) VALUES ('delete', OLD.id, OLD.name);
  INSERT INTO item_search (rowid, name) VALUES (NEW.id, NEW.name);
END""",
}


def items(*price: sa.Column) -> sa.Table:
    """The columns as they are before, for ``copy_from``: ``--sql`` has no database to ask.

    Its constraints are added in ``rebuild``, one by one: a rebuild copies those of a table in
    no certain order, and every build of this history is to give the same schema.
    """
    return sa.Table(
        "items",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("supplier_id", sa.Integer),
        *price,
        sa.Index("ix_items_supplier_id", "supplier_id"),
    )


def rebuild(table: sa.Table, *, gone: str, check: bool) -> None:
    for name in SEARCH_TRIGGERS:
        op.execute(f"DROP TRIGGER {name}")
    with op.batch_alter_table("items", copy_from=table, recreate="always") as batch:
        batch.drop_column(gone)
        batch.create_unique_constraint("uq_items_sku", ["sku"])
        batch.create_foreign_key(
            "fk_items_supplier_id", "suppliers", ["supplier_id"], ["id"], ondelete="SET NULL"
        )
        if check:
            batch.create_check_constraint("ck_items_price_cents", "price_cents >= 0")
    for name, body in SEARCH_TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {body}")


def alter_in_place(*, gone: str, check: bool) -> None:
    """PostgreSQL needs no rebuild: constraints get the names that one would have given them."""
    op.drop_column("items", gone)
    names = {"items_sku_key": "uq_items_sku", "items_supplier_id_fkey": "fk_items_supplier_id"}
    for old, new in names.items():
        was, now = (old, new) if check else (new, old)
        op.execute(f"ALTER TABLE items RENAME CONSTRAINT {was} TO {now}")
    if check:
        op.create_check_constraint("ck_items_price_cents", "items", "price_cents >= 0")


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.add_column("items", sa.Column("price_cents", sa.Integer))
        op.execute("UPDATE items SET price_cents = round(CAST(price AS numeric) * 100)")
        alter_in_place(gone="price", check=True)
        return
    op.add_column("items", sa.Column("price_cents", sa.Integer))
    op.execute("UPDATE items SET price_cents = CAST(round(CAST(price AS REAL) * 100) AS INTEGER)")
    before = items(sa.Column("price", sa.Text), sa.Column("price_cents", sa.Integer))
    rebuild(before, gone="price", check=True)


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.add_column("items", sa.Column("price", sa.Text))
        op.execute("UPDATE items SET price = to_char(price_cents / 100.0, 'FM9999999990.00')")
        alter_in_place(gone="price_cents", check=False)
        return
    op.add_column("items", sa.Column("price", sa.Text))
    op.execute("UPDATE items SET price = printf('%d.%02d', price_cents / 100, price_cents % 100)")
    before = items(sa.Column("price_cents", sa.Integer), sa.Column("price", sa.Text))
    rebuild(before, gone="price_cents", check=False)
