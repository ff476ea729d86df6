"""Full-text search on item names: FTS5 and triggers in SQLite, an index in PostgreSQL."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TRIGGERS = {
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


INDEX = "CREATE INDEX item_search ON items USING gin (to_tsvector('simple', name))"


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute(INDEX)
        return
    op.execute(
        "CREATE VIRTUAL TABLE item_search USING fts5(name, content='items', content_rowid='id')"
    )
    op.execute("INSERT INTO item_search (item_search) VALUES ('rebuild')")
    for name, body in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {body}")


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP INDEX item_search")
        return
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER {name}")
    op.execute("DROP TABLE item_search")
