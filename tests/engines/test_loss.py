"""The loss report on either engine: what a migration takes away is named, the rest is not."""

import json
from typing import Any

import pytest
from shop import Project

HERE = "postgres = op.get_context().dialect.name == 'postgresql'"
LOSES = "op.execute(\"UPDATE items SET name = ''\")", "op.execute('DELETE FROM stock_movements')"
ALL = 'accepts_loss = ["items.name", "rows stock_movements"]'
# A schema of our own, whose constraints both engines know by the same words.
PARTS = """
CREATE TABLE makers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE parts (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, code TEXT, spare TEXT, note TEXT, amount INTEGER,
  maker INTEGER,
  CONSTRAINT parts_name_key UNIQUE (name), CONSTRAINT short CHECK (amount < 9),
  CONSTRAINT made_by FOREIGN KEY (maker) REFERENCES makers (id) ON DELETE SET NULL);
CREATE TABLE log (id INTEGER PRIMARY KEY, line TEXT);
CREATE TABLE empty (id INTEGER PRIMARY KEY, line TEXT);
CREATE INDEX by_code ON parts (code);
INSERT INTO makers VALUES (1, 'Ada'), (2, 'Bob');
INSERT INTO parts VALUES
  (1, 'bolt', '007', NULL, '', 1, 1), (2, 'nut', '12', NULL, NULL, 2, 2),
  (3, 'hinge', 'x9', NULL, 'n3', 3, NULL);
INSERT INTO log VALUES (1, 'one'), (2, 'two')
"""


@pytest.fixture
def parts(each: Project) -> Project:
    """A project with that schema, and a history that begins there."""
    each.script(PARTS)
    for file in (each.root / "alembic/versions").glob("0*.py"):
        file.unlink()
    return each


def revise(project: Project, *statements: str, head: str = "") -> None:
    """The first migration of a project without a history."""
    project.revise(*statements, head=head)
    file = project.root / "alembic/versions/9001_test.py"
    file.write_text(file.read_text().replace("down_revision = '0006'", "down_revision = None"))


def execute(*lines: str) -> tuple[str, ...]:
    """Statements of SQL as those of a migration."""
    return tuple(f"op.execute({line!r})" for line in lines)


def stopped(project: Project) -> dict[str, Any]:
    """What a migrate says in JSON that stops for a loss and changes nothing."""
    live = project.exact()
    done = project.undrop("migrate", "--json")
    found = json.loads(done.out)
    assert done.code == found["exit_code"] == 4, done
    assert found["live_changed"] is False
    assert "was not changed" in done.err or found["next"]
    assert project.exact() == live
    assert project.litter() == []
    return dict(found)


def lost(found: dict[str, Any]) -> dict[str, int]:
    return {each["name"]: each["lost"] for each in found["losses"]}


@pytest.mark.smoke
def test_what_is_lost_is_named_and_counted(filled: Project) -> None:
    filled.revise(
        HERE,
        *execute(
            "DROP VIEW stock_on_hand",
            "DROP TABLE supplier_contacts",
            "DROP INDEX ix_items_name",
            "DELETE FROM stock_movements WHERE id <= 7",
            "UPDATE stock_movements SET note = NULL WHERE id > 290",
            "UPDATE suppliers SET name = '' WHERE id = 1",
            "UPDATE items SET name = 'x' || id",
            "ALTER TABLE locations DROP COLUMN description",
        ),
        "on = ' ON stock_movements' if postgres else ''",
        "op.execute('DROP TRIGGER stock_not_below_zero' + on)",
    )
    [(noted,)] = filled.sql("SELECT count(note) FROM stock_movements WHERE id > 290")
    names: dict[int, str] = dict(filled.sql("SELECT id, name FROM items"))
    found = stopped(filled)
    assert lost(found) == {
        "view stock_on_hand": 1,
        "trigger stock_not_below_zero": 1,
        "index ix_items_name": 1,
        "table supplier_contacts": 4,
        "rows stock_movements": 7,
        "stock_movements.note": noted,
        "suppliers.name": 1,
        "items.name": 31,
        "locations.description": 12,
    }
    whole = {each["name"]: each["of"] for each in found["losses"]}
    assert (whole["rows stock_movements"], whole["locations.description"]) == (300, 12)
    samples = {each["name"]: each["samples"] for each in found["losses"]}
    assert len(samples["rows stock_movements"]) == 3
    assert samples["rows stock_movements"][0]["id"] == 1
    for one in samples["items.name"]:
        assert one == {"id": one["id"], "before": names[one["id"]], "after": f"x{one['id']}"}
    assert not any(each["accepted"] for each in found["losses"])
    said = filled.undrop("migrate")
    assert said.code == 4
    for name in lost(found):
        assert name in said.err
    assert "was not changed" in said.err


def test_what_loses_nothing_is_no_loss(parts: Project) -> None:
    revise(
        parts,
        "op.add_column('parts', sa.Column('colour', sa.Text, server_default='red'))",
        "op.create_table('more', sa.Column('id', sa.Integer, primary_key=True))",
        *execute(
            "CREATE INDEX by_name ON parts (name)",
            "CREATE VIEW v AS SELECT 1 AS one",
            "DROP INDEX by_code",
            "CREATE INDEX ix_code ON parts (code)",
            "UPDATE parts SET note = 'some' WHERE coalesce(note, '') = ''",
            "INSERT INTO parts (id, name) VALUES (9, 'new')",
            "ALTER TABLE parts DROP COLUMN spare",
            "DROP TABLE empty",
            "ALTER TABLE parts RENAME COLUMN code TO sku",
            "ALTER TABLE log RENAME TO journal",
            "ALTER TABLE makers RENAME COLUMN name TO title",
            "ALTER TABLE makers RENAME TO factories",
        ),
    )
    found = json.loads(parts.ok("undrop", "migrate", "--json"))
    assert (found["losses"], found["warnings"]) == ([], [])
    for change in (
        "table log is now journal",
        "table makers is now factories",
        "factories.name is now title",
        "parts.code is now sku",
        "parts.colour added",
        "1 rows added to parts",
        "table empty gone, it was empty",
        "parts.spare gone, it was empty",
    ):
        assert change in found["changes"]
    assert parts.sql("SELECT sku FROM parts ORDER BY id LIMIT 3") == [("007",), ("12",), ("x9",)]


def test_a_loss_beside_a_new_name_is_seen(parts: Project) -> None:
    revise(
        parts,
        *execute(
            "ALTER TABLE makers RENAME TO factories",
            "ALTER TABLE parts RENAME COLUMN name TO title",
            "UPDATE parts SET code = 'x' WHERE id = 2",
            "DELETE FROM log WHERE id = 2",
            "INSERT INTO log VALUES (3, 'three')",
            "ALTER TABLE parts DROP COLUMN note",
            "ALTER TABLE parts ADD COLUMN remark TEXT",
        ),
    )
    found = stopped(parts)
    assert lost(found) == {"parts.code": 1, "rows log": 1, "parts.note": 1}


def test_a_table_dropped_and_one_like_it_added_is_lost(parts: Project) -> None:
    revise(
        parts,
        *execute("DROP TABLE log", "CREATE TABLE lines (id INTEGER PRIMARY KEY, line TEXT)"),
    )
    assert lost(stopped(parts)) == {"table log": 2}


REBUILT = (
    "CREATE TABLE fresh (id INTEGER PRIMARY KEY, name TEXT, code TEXT, spare TEXT, note TEXT, "
    "amount INTEGER, maker INTEGER)",
    "INSERT INTO fresh SELECT id, name, code, spare, note, amount, maker FROM parts",
    "DROP TABLE parts",
    "ALTER TABLE fresh RENAME TO parts",
    "CREATE INDEX by_code ON parts (code)",
)
DROPPED = (
    "ALTER TABLE parts ALTER COLUMN name DROP NOT NULL",
    "ALTER TABLE parts DROP CONSTRAINT parts_name_key",
    "ALTER TABLE parts DROP CONSTRAINT short",
    "ALTER TABLE parts DROP CONSTRAINT made_by",
)


def test_constraints_that_go_are_warned_of_and_stop_nothing(parts: Project) -> None:
    revise(parts, HERE, f"for line in {DROPPED!r} if postgres else {REBUILT!r}: op.execute(line)")
    found = json.loads(parts.ok("undrop", "migrate", "--json"))
    assert found["losses"] == []
    warnings = sorted(found["warnings"])
    assert warnings.pop(0).startswith("parts: CHECK (")
    assert warnings == [
        "parts: NOT NULL of name is gone",
        "parts: UNIQUE (name) is gone",
        "parts: foreign key (maker) to makers is gone",
    ]


def test_a_rebuilt_table_is_the_same_table(parts: Project) -> None:
    """Its content is what counts: here it is made anew, one value missing."""
    rebuilt = [line.replace("note, amount, maker FROM", "note, 7, maker FROM") for line in REBUILT]
    revise(parts, *execute(*rebuilt))
    assert lost(stopped(parts)) == {"parts.amount": 3}


ENFORCES = """
import sqlalchemy


@sqlalchemy.event.listens_for(engine, "connect")
def _enforce(connection: object, _record: object) -> None:
    if engine.dialect.name == "sqlite":
        connection.execute("PRAGMA foreign_keys = ON")


transactional_ddl(engine)"""


@pytest.fixture
def enforcing(filled: Project) -> Project:
    """A project whose engine runs with foreign keys on from the start, as many do."""
    env = filled.root / "alembic/env.py"
    lines = "".join(f"    {line}\n" if line else "\n" for line in ENFORCES.splitlines()[1:])
    assert "    transactional_ddl(engine)\n" in env.read_text()
    env.write_text(env.read_text().replace("    transactional_ddl(engine)\n", lines))
    return filled


def test_says_through_which_foreign_key_rows_and_values_went(enforcing: Project) -> None:
    enforcing.revise("op.execute('DELETE FROM suppliers')")
    found = stopped(enforcing)
    assert {each["name"]: (each["what"], each["lost"], each["of"]) for each in found["losses"]} == {
        "rows suppliers": ("rows gone", 2, 2),
        "rows supplier_contacts": ("rows gone (ON DELETE CASCADE from suppliers)", 4, 4),
        "items.supplier_id": ("became NULL, cut from suppliers", 31, 31),
    }


def test_a_loss_is_accepted_for_one_run_or_in_the_file(filled: Project) -> None:
    filled.revise(*LOSES)
    done = filled.undrop("migrate")
    assert done.code == 4
    assert ALL in done.err
    filled.revise(*LOSES, head='accepts_loss = ["items.name"]')
    done = filled.undrop("migrate")
    assert done.code == 4
    assert 'accepts_loss = ["rows stock_movements"]' in done.err
    filled.revise(*LOSES, head=ALL)
    found = json.loads(filled.ok("undrop", "migrate", "--json"))
    assert lost(found) == {"items.name": 31, "rows stock_movements": 300}
    assert all(each["accepted"] for each in found["losses"])
    filled.ok("undrop", "undo")
    filled.revise(*LOSES)
    assert filled.ok("just", "migrate", "head", "--accept-loss") == "0006 -> 9001\n"


def test_what_accepts_loss_must_be_a_list_of_texts(filled: Project) -> None:
    filled.revise(*LOSES, head="accepts_loss = True")
    done = filled.refused(1, "undrop", "migrate")
    assert "accepts_loss" in done.err


def rehearse(project: Project, *arguments: str) -> tuple[int, str]:
    """A rehearsal, which must leave everything as it was, and a backup of that."""
    live = project.exact()
    done = project.just("rehearse", *arguments)
    assert project.exact() == live
    [saved] = project.saved()
    assert project.holds(saved) == project.content()
    assert project.litter() == []
    return done.code, done.out + done.err


@pytest.mark.full("postgresql")
def test_a_rehearsal_says_how_it_would_end_and_keeps_a_backup_alone(filled: Project) -> None:
    code, said = rehearse(filled)
    assert (code, "nothing to do" in said) == (0, True)
    filled.revise("op.add_column('items', sa.Column('colour', sa.Text))")
    code, said = rehearse(filled)
    assert (code, "items.colour added" in said, "locked out for" in said) == (0, True, True)
    filled.revise(*LOSES)
    code, said = rehearse(filled)
    assert (code, ALL in said) == (4, True)
    assert rehearse(filled, "head", "--accept-loss")[0] == 0
    filled.revise("raise RuntimeError('in the middle')")
    code, said = rehearse(filled)
    assert (code, "in the middle" in said) == (1, True)


def test_a_rehearsal_needs_a_database(each: Project) -> None:
    assert each.just("rehearse").code == 2
    assert not each.exists()
