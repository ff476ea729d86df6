"""Stock movements, what is on hand, and a guard against taking out more than there is."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ON_HAND = """
CREATE VIEW stock_on_hand AS
SELECT item_id, location_id, sum(quantity) AS quantity
FROM stock_movements GROUP BY item_id, location_id
"""
NOT_BELOW_ZERO = """
CREATE TRIGGER stock_not_below_zero BEFORE INSERT ON stock_movements
WHEN NEW.quantity < 0
BEGIN
  SELECT RAISE(ABORT, 'not that many in stock') WHERE NEW.quantity + coalesce(
    (SELECT sum(quantity) FROM stock_movements
     WHERE item_id = NEW.item_id AND location_id = NEW.location_id), 0) < 0;
END
"""


NOT_BELOW_ZERO_FUNCTION = """
CREATE FUNCTION stock_not_below_zero() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.quantity + coalesce(
    (SELECT sum(quantity) FROM stock_movements
     WHERE item_id = NEW.item_id AND location_id = NEW.location_id), 0) < 0 THEN
    RAISE EXCEPTION 'not that many in stock';
  END IF;
  RETURN NEW;
END $$
"""
NOT_BELOW_ZERO_TRIGGER = """
CREATE TRIGGER stock_not_below_zero BEFORE INSERT ON stock_movements
FOR EACH ROW WHEN (NEW.quantity < 0) EXECUTE FUNCTION stock_not_below_zero()
"""


def upgrade() -> None:
    op.create_table(
        "stock_movements",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "item_id", sa.Integer, sa.ForeignKey("items.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("location_id", sa.Integer, sa.ForeignKey("locations.id"), nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("moved_at", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.CheckConstraint("quantity <> 0", name="ck_stock_movements_quantity"),
    )
    op.create_index("ix_stock_movements_item_id", "stock_movements", ["item_id", "location_id"])
    op.execute(ON_HAND)
    if op.get_context().dialect.name == "postgresql":
        op.execute(NOT_BELOW_ZERO_FUNCTION)
        op.execute(NOT_BELOW_ZERO_TRIGGER)
    else:
        op.execute(NOT_BELOW_ZERO)


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP TRIGGER stock_not_below_zero ON stock_movements")
        op.execute("DROP FUNCTION stock_not_below_zero()")
    else:
        op.execute("DROP TRIGGER stock_not_below_zero")
    op.execute("DROP VIEW stock_on_hand")
    op.drop_index("ix_stock_movements_item_id", "stock_movements")
    op.drop_table("stock_movements")
