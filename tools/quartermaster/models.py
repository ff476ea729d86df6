"""Quartermaster's tables as the application sees them, at the newest revision."""

from collections.abc import Mapping

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Holds the metadata that Alembic compares the database with."""


class Supplier(Base):
    """Somebody who sells us items."""

    __tablename__ = "suppliers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)


class SupplierContact(Base):
    """An e-mail address or a phone number of a supplier."""

    __tablename__ = "supplier_contacts"

    id: Mapped[int] = mapped_column(primary_key=True)
    supplier_id: Mapped[int] = mapped_column(
        ForeignKey("suppliers.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str] = mapped_column(Text)
    value: Mapped[str] = mapped_column(Text)


class Location(Base):
    """A shelf, a room, a van."""

    __tablename__ = "locations"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(Text, unique=True)
    description: Mapped[str | None] = mapped_column(Text)


class Item(Base):
    """Something we stock."""

    __tablename__ = "items"
    __table_args__ = (
        CheckConstraint("price_cents >= 0", name="ck_items_price_cents"),
        UniqueConstraint("sku", name="uq_items_sku"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text, index=True)
    supplier_id: Mapped[int | None] = mapped_column(
        ForeignKey("suppliers.id", name="fk_items_supplier_id", ondelete="SET NULL"), index=True
    )
    price_cents: Mapped[int | None]
    reorder_level: Mapped[int] = mapped_column(server_default="0")


class StockMovement(Base):
    """So many of an item put into (positive) or taken out of (negative) a location."""

    __tablename__ = "stock_movements"
    __table_args__ = (
        CheckConstraint("quantity <> 0", name="ck_stock_movements_quantity"),
        Index("ix_stock_movements_item_id", "item_id", "location_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    location_id: Mapped[int] = mapped_column(ForeignKey("locations.id"))
    quantity: Mapped[int]
    moved_at: Mapped[str] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)


def is_ours(name: str | None, kind: str, _parents: Mapping[str, str | None]) -> bool:
    """Tell Alembic's autogenerate to leave the full-text index and its shadow tables alone."""
    return not (kind in {"table", "index"} and (name or "").startswith("item_search"))
