"""``just log TABLE [KEY]``: the life of a row, or of a table, over all backups and live."""

import json
import os
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import confined
import pytest
from shop import Project, leave_wal, uncheckpointed, wal_of

from undrop import settings
from undrop.compare import lookup
from undrop.compare.structure import fold
from undrop.store import log

ITEMS = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL)"


def backed_up(project: Project, *statements: str) -> str:
    """Run statements on the database, take a backup of that; its name."""
    for statement in statements:
        project.sql(statement)
    return project.ok("undrop", "backup").strip().rpartition("/")[2]


def life(project: Project, *words: str, code: int = 0) -> dict[str, Any]:
    """What ``undrop log`` says in JSON."""
    done = project.undrop("log", *words, "--json")
    assert done.code == code, done
    return dict(json.loads(done.out))


def events(project: Project, *words: str) -> list[str]:
    """What happened to a row, oldest first."""
    return [each["what"] for each in life(project, *words)["events"][::-1]]


def changes(event: dict[str, Any]) -> dict[str, tuple[object, object]]:
    return {each["column"]: (each["before"], each["after"]) for each in event["changes"]}


def line(done_err: str) -> str:
    """The line to type at the end of what is said."""
    return done_err.splitlines()[-1].partition(": ")[2]


@pytest.fixture
def shop(project: Project) -> Project:
    """A row that was there, changed, went, and came back with another value; then it went again."""
    backed_up(project, ITEMS, "INSERT INTO items VALUES (42, 'bolt', 1.5), (43, 'nut', 2)")
    backed_up(project, "UPDATE items SET price = 1.75 WHERE id = 42")
    backed_up(project, "DELETE FROM items WHERE id = 42")
    backed_up(project, "INSERT INTO items VALUES (42, 'bolt', 9)")
    project.sql("DELETE FROM items WHERE id = 42")
    return project


def test_a_row_is_followed_through_change_going_and_coming_back(shop: Project) -> None:
    told = life(shop, "items", "42")
    gone_now, back, gone, changed, first = told["events"]
    saved = [path.name for path in shop.saved()]
    assert [each["what"] for each in told["events"]] == [
        *("gone", "came back", "gone", "changed", "first seen")
    ]
    assert (first["row"], first["last_in"]) == ({"id": 42, "name": "bolt", "price": 1.5}, saved[0])
    assert changes(changed) == {"price": (1.5, 1.75)}
    assert (changed["first_in"], changed["last_in"], changed["others"]) == (saved[1],) * 2 + (True,)
    assert (gone["first_in"], gone["last_in"]) == (saved[2], None)
    assert changes(back) == {"price": (1.75, 9.0)}
    assert back["last_in"] == saved[3]
    assert (gone_now["first_in"], gone_now["at"]) == ("live", None)
    assert told["live"] is None


@pytest.mark.more
def test_it_ends_with_the_line_that_brings_the_row_back(shop: Project) -> None:
    newest = shop.saved()[-1].name
    done = shop.undrop("log", "ITEMS", "42")
    assert done.code == 0
    said = line(done.err)
    assert said.startswith("to bring it back: ")
    assert said.endswith(f"recover --from {newest} 'rows items' --key 42")
    [action] = life(shop, "items", "42")["next_actions"]
    assert action == {
        "name": "recover",
        "arguments": ["--from", newest, "rows items", "--key", "42"],
    }


def test_values_that_live_has_overwritten_have_a_line_too(project: Project) -> None:
    saved = backed_up(project, ITEMS, "INSERT INTO items VALUES (1, 'bolt', 5), (2, NULL, NULL)")
    assert life(project, "items", "1")["next_actions"] == []
    assert "recover" not in project.undrop("log", "items", "1").err
    project.sql("UPDATE items SET price = 6 WHERE id = 1")
    [action] = life(project, "items", "1")["next_actions"]
    assert action["arguments"] == ["--from", saved, "items.price", "--key", "1", "--overwrite"]
    project.sql("UPDATE items SET price = NULL WHERE id = 1")
    [action] = life(project, "items", "1")["next_actions"]
    assert action["arguments"] == ["--from", saved, "items.price", "--key", "1"]
    project.ok("undrop", action["name"], *action["arguments"])
    assert project.sql("SELECT price FROM items WHERE id = 1") == [(5,)]
    project.sql("UPDATE items SET name = 'filled' WHERE id = 2")
    told = life(project, "items", "2")
    assert [each["what"] for each in told["events"]] == ["changed", "first seen"]
    assert told["next_actions"] == []  # NULL was no value


@pytest.mark.more
def test_the_step_that_did_it_is_named(stocked: Project) -> None:
    stocked.ok("undrop", "backup")
    stocked.ok("alembic", "downgrade", "0005")
    delete = stocked.client("DELETE FROM stock_movements WHERE id = 7")
    stocked.ok("undrop", "run", "--", *delete)
    stocked.ok("just", "undo")
    told = life(stocked, "stock_movements", "7")
    assert [each["what"] for each in told["events"]] == ["came back", "gone", "first seen"]
    assert [[step["kind"] for step in each["steps"]] for each in told["events"][:2]] == [
        *(["undo"], ["run"])
    ]
    assert not any(each["others"] for each in told["events"][:2])
    assert told["events"][0]["changes"] == []
    shown = stocked.ok("just", "log", "stock_movements", "7")
    assert "came back as it was" in shown
    assert "run (" in shown
    item = life(stocked, "items", "1")["events"][0]
    assert item["revisions"] == [["0006"], ["0005"]]
    assert [step["kind"] for step in item["steps"]] == ["alembic"]


@pytest.mark.parametrize("kind", ["restore", "run"])
def test_how_a_step_ended_that_was_killed_shows_in_live(project: Project, kind: str) -> None:
    """What undrop itself does, it does in one transaction; what came of a command, nobody saw."""
    saved = backed_up(project, ITEMS, "INSERT INTO items VALUES (1, 'bolt', 5)")
    log.begin(settings.load(project.root), kind, saved)
    project.sql("DELETE FROM items")
    [gone, _] = life(project, "items", "1")["events"]
    assert gone["others"] == (kind == "run")
    assert [step["kind"] for step in gone["steps"]] == [kind] * (kind == "restore")


@pytest.mark.more
def test_a_renamed_table_and_a_renamed_column_are_followed(project: Project) -> None:
    """By the name that it has now, or had once; each is said once, and is no change of a value."""
    rows = "INSERT INTO items VALUES (1, 'bolt', 5), (2, 'nut', 6)"
    first = backed_up(project, ITEMS, rows)
    backed_up(project, "ALTER TABLE items RENAME COLUMN price TO price_cents")
    backed_up(project, "ALTER TABLE items RENAME TO products")
    backed_up(project, "UPDATE products SET name = 'screw' WHERE id = 1")
    project.sql("DELETE FROM products WHERE id = 1")
    for name in ("products", "items"):
        told = life(project, name, "1")
        whats = [each["what"] for each in told["events"][::-1]]
        assert whats == ["first seen", "renamed", "renamed", "changed", "gone"], name
        _, column, table, changed, _ = told["events"][::-1]
        assert (column["renamed"], column["changes"]) == ([["price", "price_cents"]], [])
        assert (table["table"], table["changes"]) == ("products", [])
        assert changes(changed) == {"name": ("bolt", "screw")}
        assert told["back"]["names"] == ["rows products"]
    shown = project.ok("undrop", "log", "products", "1")
    assert "price is now price_cents" in shown
    assert "table items is now products" in shown
    assert first in shown


def test_a_table_is_followed_where_rows_went_when_it_was_renamed(project: Project) -> None:
    """And is not taken for any other that has the same key."""
    backed_up(project, ITEMS, "INSERT INTO items VALUES (1, 'bolt', 5), (2, 'nut', 6)")
    backed_up(
        project,
        "CREATE TABLE other (id INTEGER PRIMARY KEY, x)",
        "INSERT INTO other VALUES (1, 'y')",
        "DELETE FROM items WHERE id = 2",
        "ALTER TABLE items RENAME TO products",
    )
    assert events(project, "products", "1") == ["first seen", "renamed"]
    assert events(project, "products", "2") == ["first seen", "gone"]
    assert events(project, "other", "1") == ["first seen"]


@pytest.mark.more
def test_what_a_table_had_that_the_comparison_takes_for_gone_goes_into_its_own(
    project: Project,
) -> None:
    """Too much changed when it was renamed; the line works as it is typed."""
    backed_up(project, ITEMS, "INSERT INTO items VALUES (1, 'bolt', 5), (2, 'nut', 6)")
    project.sql("ALTER TABLE items RENAME COLUMN name TO title")
    project.sql("ALTER TABLE items RENAME TO products")
    project.sql("UPDATE products SET price = 7 WHERE id = 1")
    project.sql("DELETE FROM products WHERE id = 2")
    shown = project.ok("undrop", "log", "products")
    assert "table items -> products" in shown
    for key, has in (("1", (1, "bolt", 5.0)), ("2", (2, "nut", 6.0))):
        told = project.done("undrop", "log", "products", key).err
        project.ok(*shlex.split(told.rpartition(": ")[2]))
        assert project.sql("SELECT * FROM recovered_items") == [has]
        project.ok("undrop", "undo")


def test_a_row_of_a_table_that_is_gone_comes_back_by_the_line(project: Project) -> None:
    backed_up(project, ITEMS, "INSERT INTO items VALUES (1, 'bolt', 5), (2, 'nut', 6)")
    project.sql("DROP TABLE items")
    project.sql("CREATE TABLE other (x)")
    told = project.done("undrop", "log", "items", "2").err
    project.ok(*shlex.split(told.rpartition(": ")[2]))
    assert project.sql("SELECT * FROM recovered_items") == [(2, "nut", 6.0)]


@pytest.mark.more
@pytest.mark.parametrize("typed", ['crm."Be ta"', "crm.Be ta", "CRM.be ta"])
def test_a_name_in_a_schema_is_typed_without_quotation_marks(typed: str) -> None:
    """PostgreSQL's, of which one part needs some and the other none."""
    assert lookup.named(typed, ["ta", fold('crm."Be ta"')]) == fold('crm."Be ta"')


def test_a_number_with_an_exponent_is_a_key(project: Project) -> None:
    """As it is shown by everything that shows keys."""
    backed_up(project, "CREATE TABLE t (k PRIMARY KEY, v)", "INSERT INTO t VALUES (1e300, 1)")
    assert events(project, "t", "1e+300") == ["first seen"]
    assert events(project, "t", "1E300") == ["first seen"]


@pytest.mark.more
def test_a_row_of_a_full_text_table_comes_back_by_the_line(project: Project) -> None:
    backed_up(
        project,
        "CREATE VIRTUAL TABLE notes USING fts5(body)",
        "INSERT INTO notes VALUES ('one'), ('two')",
    )
    project.sql("DELETE FROM notes WHERE body = 'one'")
    told = project.done("undrop", "log", "notes", "1").err
    project.ok(*shlex.split(told.rpartition(": ")[2]))
    assert project.sql("SELECT rowid, body FROM notes") == [(1, "one"), (2, "two")]


def test_a_renamed_key_column_is_followed(project: Project) -> None:
    backed_up(project, ITEMS, "INSERT INTO items VALUES (1, 'bolt', 5), (2, 'nut', 6)")
    backed_up(project, "ALTER TABLE items RENAME COLUMN id TO number")
    assert events(project, "items", "2") == ["first seen", "renamed"]


@pytest.mark.more
def test_a_migration_that_goes_back_and_forth_is_followed(project: Project) -> None:
    backed_up(project, ITEMS, "INSERT INTO items VALUES (1, 'bolt', 5), (2, 'nut', 6)")
    for old, new in (("price", "cost"), ("cost", "price"), ("price", "cost")):
        backed_up(project, f"ALTER TABLE items RENAME COLUMN {old} TO {new}")
    told = life(project, "items", "2")["events"]
    renamed = [each["renamed"] for each in told[:3][::-1]]
    assert renamed == [[["price", "cost"]], [["cost", "price"]], [["price", "cost"]]]
    assert all(each["changes"] == [] for each in told)


def test_a_table_that_is_gone_from_live_is_found_in_the_backups(project: Project) -> None:
    saved = backed_up(project, ITEMS, "INSERT INTO items VALUES (1, 'bolt', 5)")
    backed_up(project, "DROP TABLE items", "CREATE TABLE other (x)")
    told = life(project, "items", "1")
    assert [each["what"] for each in told["events"]] == ["gone", "first seen"]
    assert told["back"] == {
        "backup": saved,
        "names": ["table items"],
        "keys": [{"id": 1}],
        "overwrite": False,
    }
    assert "with its table" in project.ok("undrop", "log", "items", "1")


@pytest.mark.more
def test_a_table_that_was_dropped_and_came_back_with_undo(project: Project) -> None:
    backed_up(project, ITEMS, "INSERT INTO items VALUES (1, 'bolt', 5)")
    project.ok("undrop", "run", "--", *project.client("DROP TABLE items; CREATE TABLE x (y);"))
    project.ok("just", "undo")
    assert events(project, "items", "1") == ["first seen", "gone", "came back"]
    assert [(p["rows"], p["added"], p["removed"]) for p in life(project, "items")["states"]] == [
        *((1, 1, 0), (0, 0, 1), (1, 1, 0))
    ]


def test_a_row_goes_with_the_database_and_comes_back_with_it(project: Project) -> None:
    backed_up(project, ITEMS, "INSERT INTO items VALUES (1, 'bolt', 5)")
    project.ok("just", "nuke-db")
    assert "no live database" in project.undrop("log", "items", "1").err
    project.ok("just", "undo")
    back, gone, _ = life(project, "items", "1")["events"]
    assert [(each["what"], each["steps"][0]["kind"]) for each in (gone, back)] == [
        *(("gone", "nuke-db"), ("came back", "undo"))
    ]
    assert "gone, with the database" in project.ok("undrop", "log", "items", "1")


KEYS = {
    "composite": (
        "CREATE TABLE t (shop TEXT, no INTEGER, v, PRIMARY KEY (no, shop))",
        "INSERT INTO t VALUES ('berlin', 3, 'x'), ('paris', 3, 'y')",
        ("3", "berlin"),
        ["--where", '"no" = 3 AND "shop" = \'berlin\''],
    ),
    "without rowid": (
        "CREATE TABLE t (code TEXT PRIMARY KEY, v) WITHOUT ROWID",
        "INSERT INTO t VALUES ('a b', 'x')",
        ("a b",),
        ["--key", "a b"],
    ),
    "a text that is a number": (
        "CREATE TABLE t (code TEXT PRIMARY KEY, v)",
        "INSERT INTO t VALUES ('007', 'x'), ('7', 'y')",
        ("007",),
        ["--key", "007"],
    ),
    "no type": (
        "CREATE TABLE t (code PRIMARY KEY, v)",
        "INSERT INTO t VALUES ('7', 'x')",
        ("7",),
        ["--key", "7"],
    ),
    "a quotation mark and a comma": (
        "CREATE TABLE t (code TEXT PRIMARY KEY, v)",
        "INSERT INTO t VALUES ('o''neill, inc', 'x')",
        ("o'neill, inc",),
        ["--where", "\"code\" = 'o''neill, inc'"],
    ),
    "a blob": (
        "CREATE TABLE t (code BLOB PRIMARY KEY, v)",
        "INSERT INTO t VALUES (x'00ff', 'x')",
        ("x'00FF'",),
        ["--where", "\"code\" = x'00ff'"],
    ),
    "negative": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "INSERT INTO t VALUES (-5, 'x')",
        ("-5",),
        ["--where", '"id" = -5'],
    ),
    "a reserved word": (
        'CREATE TABLE t ("order" INTEGER PRIMARY KEY, "select" TEXT)',
        "INSERT INTO t VALUES (1, 'x')",
        ("1",),
        ["--key", "1"],
    ),
    "no primary key": (
        "CREATE TABLE t (a, b)",
        "INSERT INTO t VALUES (1, 2), (3, 4)",
        ("2",),
        ["--where", "rowid = 2"],
    ),
    "a full-text table": (
        "CREATE VIRTUAL TABLE t USING fts5 (body)",
        "INSERT INTO t VALUES ('one'), ('two')",
        ("1",),
        ["--where", "rowid = 1"],
    ),
}


@pytest.mark.more
@pytest.mark.parametrize("kind", KEYS)
def test_a_row_is_known_by_any_kind_of_key(project: Project, kind: str) -> None:
    table, rows, words, which = KEYS[kind]
    saved = backed_up(project, table, rows)
    content = project.content()
    project.sql("DELETE FROM t")
    told = life(project, "t", *words)
    assert [each["what"] for each in told["events"]] == ["gone", "first seen"]
    assert told["rowid"] == ("rowid" in which[1])
    [action] = told["next_actions"]
    assert action["arguments"] == ["--from", saved, "rows t", *which]
    done = project.undrop("log", "t", *words)
    assert ("no primary key" in done.err) == told["rowid"]
    if kind == "a full-text table":
        return  # recover refuses an expression over one
    project.ok("undrop", action["name"], *action["arguments"])
    assert any(line in content for line in project.content() if line.startswith("INSERT INTO"))


def test_a_number_is_not_taken_for_its_text_where_both_are_keys(project: Project) -> None:
    backed_up(
        project,
        "CREATE TABLE t (code PRIMARY KEY, v)",
        "INSERT INTO t VALUES ('7', 'text'), (7, 'number')",
    )
    assert life(project, "t", "7")["events"][0]["row"]["v"] == "number"


@pytest.mark.more
def test_a_value_that_another_type_holds_as_well_has_not_changed(project: Project) -> None:
    backed_up(
        project, "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO t VALUES (1, 7)"
    )
    backed_up(
        project,
        "CREATE TABLE new (id INTEGER PRIMARY KEY, v TEXT)",
        "INSERT INTO new SELECT * FROM t",
        "DROP TABLE t",
        "ALTER TABLE new RENAME TO t",
    )
    assert events(project, "t", "1") == ["first seen"]
    backed_up(project, "UPDATE t SET v = '07'")
    assert events(project, "t", "1") == ["first seen", "changed"]


def test_any_value_is_shown_in_one_line(project: Project) -> None:
    backed_up(project, ITEMS, "INSERT INTO items VALUES (1, 'bolt', NULL)")
    backed_up(project, f"UPDATE items SET name = 'two{chr(10)}lines 🔩', price = 1e999")
    backed_up(project, f"UPDATE items SET name = x'00ff', price = '{'y' * 5000}'")
    shown = project.ok("just", "log", "items", "1").splitlines()
    assert len(shown) == 5
    assert r'"bolt" -> "two\nlines 🔩"; price NULL -> inf' in shown[3]
    assert "x'00ff' (2 bytes)" in shown[2]
    assert 'yyy…" (5,000 characters)' in shown[2]
    told = life(project, "items", "1")["events"]
    assert changes(told[1])["name"] == ("bolt", "two\nlines 🔩")
    assert changes(told[0])["price"] == ("inf", "y" * 5000)


@pytest.mark.more
def test_a_key_that_no_state_has_is_exit_4(shop: Project) -> None:
    done = shop.undrop("log", "items", "99")
    assert (done.code, done.out) == (4, "")
    assert (
        "items has no row id 99, in no state: looked at live and 4 state(s) in backups" in done.err
    )
    assert life(shop, "items", "99", code=4)["events"] == []


def test_what_is_typed_wrong_is_told(shop: Project) -> None:
    shop.sql("CREATE TABLE stock (shop, no, PRIMARY KEY (shop, no))")
    done = shop.refused(2, "undrop", "log", "itms", "42")
    assert "there is no table 'itms' in live or a backup; the nearest: items" in done.err
    assert line(done.err).endswith("log items 42")
    done = shop.refused(2, "undrop", "log", "stock", "3")
    assert "a row of stock is known by shop, no" in done.err
    assert line(done.err).endswith("log stock SHOP NO")
    shop.refused(2, "undrop", "log", "items", "1", "2")
    shop.refused(2, "undrop", "log", "alembic_version")
    shop.refused(2, "undrop", "log", "")


@pytest.mark.more
@pytest.mark.parametrize("name", ["two words", "a.b", 'quote"d', "Ünïcode", "-dash", "x'00'"])
def test_a_table_of_any_name(project: Project, name: str) -> None:
    sql_name = '"' + name.replace('"', '""') + '"'
    saved = backed_up(
        project,
        f"CREATE TABLE {sql_name} (id INTEGER PRIMARY KEY)",
        f"INSERT INTO {sql_name} VALUES (1)",
    )
    project.sql(f"DELETE FROM {sql_name}")
    done = project.undrop("log", "--json", "--", name, "1")
    assert done.code == 0, done
    [action] = json.loads(done.out)["next_actions"]
    assert action["arguments"] == ["--from", saved, f"rows {name}", "--key", "1"]


def test_backups_in_the_vault_alone_count(shop: Project) -> None:
    said = life(shop, "items", "42")
    for path in shop.saved()[::2]:
        path.unlink()
    assert life(shop, "items", "42")["events"] == said["events"]


def spoil(path: Path, at: int = 0) -> None:
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[at : at + 100] = b"\xff" * 100
    path.write_bytes(data)


@pytest.mark.more
def test_what_cannot_be_read_is_passed_over_and_said(shop: Project) -> None:
    """The header, a cut file, what verify marked, what has no record; both files are links."""
    header, cut, marked, _ = shop.saved()
    spoil(header)
    cut.chmod(0o600)
    os.truncate(cut, 4096)
    spoil(marked, 5000)
    assert shop.undrop("verify", marked.name).code == 4
    stranger = shop.backups / f"{shop.stem}-20250101-000000-x.db"
    shutil.copy(shop.database, stranger)
    told = life(shop, "items", "42")
    assert [each["what"] for each in told["events"]] == ["gone", "first seen"]
    assert told["passed_over"].keys() == {header.name, cut.name, marked.name, stranger.name}
    assert "size" in told["passed_over"][cut.name]
    assert "no record" in told["passed_over"][stranger.name]
    said = shop.undrop("log", "items", "42").err
    assert f"passed over: {cut.name}: it has not the size that its record names" in said
    assert "passed over: 1 more" in said


def test_the_copy_in_the_vault_is_read_where_the_first_is_damaged(shop: Project) -> None:
    said = life(shop, "items", "42")
    for path in shop.saved():
        whole = path.read_bytes()
        path.unlink()
        path.write_bytes(b"\xff" * len(whole))
    assert life(shop, "items", "42") == said


@pytest.mark.more
def test_nobody_is_sent_to_a_backup_that_was_changed(shop: Project) -> None:
    """Its row can be read, and its digest is not what it was."""
    *_, older, _, newest = shop.saved()
    data = newest.read_bytes()
    newest.chmod(0o600)
    newest.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    told = life(shop, "items", "42")
    assert told["back"]["backup"] == older.name
    assert "digest" in told["passed_over"][newest.name]
    assert [each["what"] for each in told["events"]] == ["gone", "changed", "first seen"]


def test_into_a_database_that_was_lost_no_single_row_is_brought_back(shop: Project) -> None:
    shop.database.write_bytes(b"")
    assert line(shop.undrop("log", "items", "42").err).endswith(f"restore {shop.saved()[-1].name}")
    assert events(shop, "items", "43") == ["first seen", "gone"]


def spoil_table(path: Path, name: str) -> None:
    """Write over the page that a table begins with."""
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        sql = f"SELECT rootpage FROM sqlite_master WHERE name = '{name}'"
        [(page,)] = connection.execute(sql).fetchall()
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = b"\x07" * size
    path.chmod(0o600)
    path.write_bytes(data)


@pytest.mark.more
def test_damage_in_another_table_hides_no_row(project: Project) -> None:
    """The two states cannot be compared then, and the name has to do."""
    backed_up(
        project,
        ITEMS,
        "INSERT INTO items VALUES (1, 'bolt', 5)",
        "CREATE TABLE other (v)",
        "INSERT INTO other VALUES (1)",
    )
    last = backed_up(project, "ALTER TABLE items ADD COLUMN note", "DELETE FROM other")
    oldest = project.saved()[0]
    spoil_table(oldest, "other")
    assert project.undrop("diff", oldest.name, last).code == 4
    told = life(project, "items", "1")
    assert [(each["what"], each["first_in"]) for each in told["events"]] == [
        ("first seen", oldest.name)
    ]


@pytest.mark.parametrize("how", ["absent", "damaged", "a folder", "damaged in its middle"])
def test_without_live_the_backups_alone_are_looked_at(shop: Project, how: str) -> None:
    if how == "damaged in its middle":
        spoil_table(shop.database, "items")
    else:
        shop.database.unlink()
    if how == "damaged":
        shop.database.write_text("no database " * 100)
    elif how == "a folder":
        shop.database.mkdir()
    done = shop.undrop("log", "items", "42")
    assert done.code == 0
    assert "the backups alone were looked at" in done.err
    assert "not looked at" in done.out
    assert line(done.err).endswith(f"restore {shop.saved()[-1].name}")
    assert life(shop, "items", "42")["no_live"]
    assert len(life(shop, "items")["states"]) == 4


@pytest.mark.more
def test_with_neither_there_is_nothing_to_look_at(project: Project) -> None:
    assert (
        "neither a live database nor a verified backup"
        in project.refused(2, "undrop", "log", "t").err
    )
    assert not project.backups.exists()


def test_live_in_use_is_read_with_what_is_in_its_wal(project: Project) -> None:
    backed_up(
        project, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO t VALUES (1, 'x')"
    )
    with uncheckpointed(project.database, 3) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM t")
        assert events(project, "t", "2") == ["first seen"]
        assert life(project, "t", "2")["events"][0]["first_in"] == "live"


@pytest.mark.more
def test_a_wal_that_a_dead_program_left_is_read_and_stays(project: Project) -> None:
    backed_up(
        project, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO t VALUES (1, 'x')"
    )
    leave_wal(project.database)
    size = wal_of(project.database).stat().st_size
    assert life(project, "t", "2")["live"] == {"id": 2, "v": "in the wal"}
    assert wal_of(project.database).stat().st_size == size > 0


def test_a_look_writes_nothing_and_works_where_nothing_can_be_written(shop: Project) -> None:
    before = shop.tree()
    said = {line: life(shop, *line.split()) for line in ("items 42", "items")}
    assert shop.tree() == before
    with confined.read_only(shop.root, Path(shop.environment["XDG_STATE_HOME"])):
        for words, answer in said.items():
            command = ("undrop", "log", *words.split(), "--json")
            done = confined.run(shop, confined.as_anybody, *command)
            assert (done.code, json.loads(done.out)) == (0, answer), done
    assert shop.tree() == before


@pytest.mark.more
def test_a_table_state_by_state(shop: Project) -> None:
    shop.sql("ALTER TABLE items ADD COLUMN note TEXT")
    saved = [path.name for path in shop.saved()]
    told = life(shop, "Items")
    counts = [(p["rows"], p["added"], p["removed"], p["changed"]) for p in told["states"][::-1]]
    assert counts == [(2, 2, 0, 0), (2, 0, 0, 1), (1, 0, 1, 0), (2, 1, 0, 0), (1, 0, 1, 0)]
    assert [point["state"] for point in told["states"]] == ["live", *saved[::-1]]
    assert told["states"][0]["new_columns"] == ["note"]
    shown = shop.ok("just", "log", "items").splitlines()
    assert shown[0].split() == [
        *("when", "by", "revision", "rows", "added", "removed", "changed", "columns", "seen", "in")
    ]
    assert shown[1].split() == ["now", "others", "1", "1", "+note", "live"]


def test_states_in_which_the_table_is_the_same_are_left_out(shop: Project) -> None:
    count = len(life(shop, "items")["states"])
    backed_up(shop, "CREATE TABLE other (x)")
    backed_up(shop, "INSERT INTO other VALUES (1)")
    assert len(life(shop, "items")["states"]) == count
    assert len(life(shop, "other")["states"]) == 2
