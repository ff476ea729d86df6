"""A supplier can have many contacts: e-mail and phone move into a table of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
accepts_loss = ["suppliers.email", "suppliers.phone"]  # rows of supplier_contacts now

KINDS = ("email", "phone")


def upgrade() -> None:
    op.create_table(
        "supplier_contacts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "supplier_id",
            sa.Integer,
            sa.ForeignKey("suppliers.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_index("ix_supplier_contacts_supplier_id", "supplier_contacts", ["supplier_id"])
    for kind in KINDS:
        op.execute(
            "INSERT INTO supplier_contacts (supplier_id, kind, value) "  # noqa: S608 - KINDS is ours
            f"SELECT id, '{kind}', {kind} FROM suppliers WHERE {kind} IS NOT NULL ORDER BY id"
        )
        op.drop_column("suppliers", kind)


def downgrade() -> None:
    for kind in KINDS:
        op.add_column("suppliers", sa.Column(kind, sa.Text))
        op.execute(
            f"UPDATE suppliers SET {kind} = (SELECT value FROM supplier_contacts AS c "  # noqa: S608
            f"WHERE c.supplier_id = suppliers.id AND c.kind = '{kind}' ORDER BY c.id LIMIT 1)"
        )
    op.drop_index("ix_supplier_contacts_supplier_id", "supplier_contacts")
    op.drop_table("supplier_contacts")
