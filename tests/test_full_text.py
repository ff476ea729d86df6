"""Full-text indexes and other virtual tables: whose table is whose, and where the text is."""

import shutil
from pathlib import Path

import pytest
from shop import Project
from sides import report, run

from undrop.compare import files, losses
from undrop.compare.comparison import MISMATCH
from undrop.engines.sqlite import fulltext, work
from undrop.sqlitefile import check
from undrop.steps import backup
from undrop.store import catalog
from undrop.values import Session, quiet

ITEMS = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, note TEXT);"
ROWS = "INSERT INTO items VALUES (1, 'oak table', 'n1'), (2, 'ash chair', 'n2'), (5, 'elm', '');"
NOTE = "INSERT INTO {0} VALUES (1, 'precious');"


def lost(folder: Path, setup: str, change: str) -> dict[str, int]:
    return {loss.name: loss.lost for loss in report(folder, setup, change).losses}


THEIRS = {
    "beside fts3": ("notes_stat", "CREATE VIRTUAL TABLE notes USING fts3 (body)"),
    "as fts3 makes one later, but for its columns": (
        "notes_stat",
        "CREATE VIRTUAL TABLE notes USING fts3 (body);"
        "CREATE TABLE notes_stat (id INTEGER PRIMARY KEY, body BLOB)",
    ),
    "beside fts4 without sizes": (
        "page_docsize",
        "CREATE VIRTUAL TABLE page USING fts4 (body, matchinfo=fts3)",
    ),
    "beside fts5 without sizes": (
        "page_docsize",
        "CREATE VIRTUAL TABLE page USING fts5 (body, columnsize=0)",
    ),
    "whose text fts5 indexes": (
        "page_content",
        "CREATE VIRTUAL TABLE page USING fts5 (content, body, content = page_content)",
    ),
    "whose text fts5 indexes, by the option's beginning": (
        "page_content",
        "CREATE VIRTUAL TABLE page USING fts5 (body, cont = 'page_content')",
    ),
    "whose text fts4 indexes": (
        "page_content",
        'CREATE VIRTUAL TABLE page USING fts4 (body, content="page_content")',
    ),
    "whose columns fts4 takes": (
        "page_content",
        "CREATE TABLE page_content (id INTEGER PRIMARY KEY, body TEXT);"
        "CREATE VIRTUAL TABLE page USING fts4 (content=page_content)",
    ),
    "beside an index that keeps no text": (
        "page_content",
        "CREATE VIRTUAL TABLE page USING fts5 (body, content='')",
    ),
    "beside one of a quoted name": (
        "the pages_content",
        "CREATE VIRTUAL TABLE \"the pages\" USING 'fts5' (body /* content */, content='')",
    ),
}


@pytest.mark.parametrize(("name", "index"), THEIRS.values(), ids=THEIRS)
def test_a_users_table_is_no_full_text_indexes_for_its_name(
    tmp_path: Path, name: str, index: str
) -> None:
    make = "" if "CREATE TABLE" in index else f'CREATE TABLE "{name}" (id INTEGER, body TEXT);'
    setup = f"{index};{make} INSERT INTO \"{name}\" VALUES (1, 'precious')"
    assert lost(tmp_path, setup, f'DELETE FROM "{name}"') == {f"rows {name}": 1}


OWN = {
    "fts3, merged": "fts3 (content)",
    "fts4": "fts4 (content, title, order=desc)",
    "fts5": "fts5 (content, title, content_rowid=id)",
    "fts5, its columns named like options": "fts5 ('content', columnsize, 'detail', content_rowid)",
    "rtree": "rtree (id, low, high)",
}


@pytest.mark.parametrize("module", OWN.values(), ids=OWN)
def test_what_a_virtual_table_keeps_its_own_in_is_nobodys_rows(tmp_path: Path, module: str) -> None:
    """Rows come and go there as SQLite likes it: merging changes them, and no text."""
    values = "(1, 0.0, 1.0)" if "rtree" in module else "('oak')"
    columns = "" if "rtree" in module else "(content)"
    setup = f"CREATE VIRTUAL TABLE w USING {module}; INSERT INTO w {columns} VALUES {values};"
    if "fts3" in module:
        setup += "INSERT INTO w(w) VALUES ('automerge=2');"
    many = "".join(f"INSERT INTO w {columns} VALUES {values};" for _ in range(20))
    change = f"INSERT INTO w(w) VALUES ('optimize'); {many * ('rtree' not in module)}"
    if "rtree" in module:
        change = "INSERT INTO w VALUES (2, 5, 6)"
    said = report(tmp_path, setup, change)
    assert (said.losses, said.warnings) == ([], [])
    assert [change.name or change.now for change in said.tables] == ["w"]


@pytest.mark.parametrize("column", ["content", "content, body", "columnsize, content, detail"])
@pytest.mark.parametrize("module", ["fts3", "fts4", "fts5"])
def test_a_column_may_be_named_like_an_option(tmp_path: Path, module: str, column: str) -> None:
    setup = (
        f"CREATE VIRTUAL TABLE page USING {module} ({column});"
        "INSERT INTO page (content) VALUES ('oak'), ('ash')"
    )
    assert lost(tmp_path, setup, "DELETE FROM page WHERE rowid = 1") == {"rows page": 1}
    (tmp_path / "more").mkdir()
    assert lost(tmp_path / "more", setup, "CREATE TABLE more (x)") == {}


def test_what_only_shows_others_rows_is_never_a_loss(tmp_path: Path) -> None:
    setup = (
        f"{ITEMS}{ROWS} CREATE VIRTUAL TABLE w USING fts5 (body); INSERT INTO w VALUES ('oak');"
        "CREATE VIRTUAL TABLE words USING fts5vocab (w, row); CREATE VIRTUAL TABLE s USING dbstat;"
        "CREATE VIRTUAL TABLE f USING fts4 (b); CREATE VIRTUAL TABLE terms USING fts4aux (f);"
        "CREATE VIRTUAL TABLE cut USING fts3tokenize (porter)"
    )
    change = "UPDATE items SET note = 'x' WHERE id = 5; CREATE TABLE more (x); VACUUM"
    said = report(tmp_path, setup, change)
    assert (said.losses, said.warnings) == ([], [])
    (tmp_path / "gone").mkdir()
    assert lost(tmp_path / "gone", setup, "DROP TABLE words; DROP TABLE s") == {
        "table words": 1,
        "table s": 1,
    }


def test_a_statement_in_a_hostile_file_is_run_nowhere(tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    text = f"CREATE VIRTUAL TABLE w USING fts5 (a); ATTACH ''{target}'' AS x"
    setup = (
        "CREATE VIRTUAL TABLE w USING fts5 (a); PRAGMA writable_schema = ON;"
        f"UPDATE sqlite_master SET sql = '{text}' WHERE name = 'w'"
    )
    assert lost(tmp_path, setup, "CREATE TABLE more (x)") == {}
    assert not target.exists()


KEPT = {
    "fts5": (
        "CREATE VIRTUAL TABLE s USING fts5 (name, note);",
        "CREATE VIRTUAL TABLE s USING fts5 (name, note, content=items, content_rowid=id);"
        "INSERT INTO s(s) VALUES ('rebuild');",
    ),
    "fts4": (
        "CREATE VIRTUAL TABLE s USING fts4 (name, note);",
        "CREATE VIRTUAL TABLE s USING fts4 (name, note, content=items);"
        "INSERT INTO s(s) VALUES ('rebuild');",
    ),
    "fts3 to fts5": (
        "CREATE VIRTUAL TABLE s USING fts3 (name, note);",
        "CREATE VIRTUAL TABLE s USING fts5 (name, note, content=items, content_rowid=id);"
        "INSERT INTO s(s) VALUES ('rebuild');",
    ),
}
FILL = "INSERT INTO s(rowid, name, note) SELECT id, name, note FROM items;"


@pytest.mark.parametrize(("own", "external"), KEPT.values(), ids=KEPT)
def test_text_that_another_table_keeps_now_is_no_loss_and_back(
    tmp_path: Path, own: str, external: str
) -> None:
    folders = [tmp_path / name for name in ("to", "back", "less", "empty")]
    for folder in folders:
        folder.mkdir()
    drop = "DROP TABLE s;"
    assert lost(folders[0], ITEMS + ROWS + own + FILL, drop + external) == {}
    assert lost(folders[1], ITEMS + ROWS + external, drop + own + FILL) == {}
    more = f"{FILL} INSERT INTO s (rowid, name) VALUES (9, 'only here');"
    assert lost(folders[2], ITEMS + ROWS + own + more, drop + external) == {"rows s": 1}
    assert lost(folders[3], ITEMS + ROWS + external, drop + own) == {"rows s": 3}


def test_an_index_that_keeps_no_text_any_more_has_lost_it(tmp_path: Path) -> None:
    bare = "DROP TABLE s; CREATE VIRTUAL TABLE s USING fts5 (name, note, content='');"
    own, external = KEPT["fts5"]
    setup = ITEMS + ROWS
    assert lost(tmp_path, setup + own + FILL, bare + FILL) == {"rows s": 3}
    (tmp_path / "external").mkdir()
    assert lost(tmp_path / "external", setup + external, bare + FILL) == {}


def test_an_fts4_index_that_keeps_no_text_is_there_or_gone(tmp_path: Path) -> None:
    """SQLite cannot read one at all."""
    setup = "CREATE VIRTUAL TABLE s USING fts4 (name, content=''); CREATE TABLE t (v);"
    said = report(tmp_path, setup, "INSERT INTO t VALUES (1)")
    assert (said.losses, said.warnings) == ([], [])
    (tmp_path / "gone").mkdir()
    assert lost(tmp_path / "gone", setup, "DROP TABLE s") == {"table s": 1}


INDEXED = {
    "fts5": "CREATE VIRTUAL TABLE s USING fts5 (name, content=items, content_rowid=id);",
    "fts4": "CREATE VIRTUAL TABLE s USING fts4 (name, content=items);",
}
BUILT = "INSERT INTO s(s) VALUES ('rebuild');"
OTHER = "UPDATE items SET name = 'pine' WHERE id = 1;"
CURE = 'INSERT INTO "s"("s") VALUES(\'rebuild\')'
UNKNOWN = (
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET"
    " sql = replace(sql, '(name', '(tokenize=theirs, name') WHERE name = 's'"
)


def worked(folder: Path, setup: str, change: str) -> losses.Report:
    """The same of a backup and a work copy, as ``migrate`` compares the two."""
    live, before = folder / "live.db", folder / "before.db"
    run(before, setup)
    state = backup.State("database", catalog.Backup(before, None), None, "")
    with work.work(live, state, Session(quiet, 1), None) as copy:  # type: ignore[arg-type]
        run(copy.path, change)
        copy.finish(None)  # type: ignore[arg-type]
        written = copy.path.read_bytes()
        found = losses.report(copy.compare(before))
        assert copy.path.read_bytes() == written
        assert sorted(path.name for path in folder.iterdir()) == [copy.path.name, before.name]
    return found


@pytest.mark.parametrize("index", INDEXED.values(), ids=INDEXED)
def test_an_index_that_no_longer_matches_its_rows_is_a_loss_with_its_cure(
    tmp_path: Path, index: str
) -> None:
    """Searching would find what is not there, and not what is."""
    setup = ITEMS + ROWS + index + BUILT
    change = "INSERT INTO items (id, name) VALUES (9, 'birch');"
    found = worked(tmp_path, setup, change)
    [loss] = found.losses
    assert loss[:4] == ("index s", f"it does not match its rows; {CURE}", 1, 1)
    assert losses.remaining(found, ["index s"]) == []
    (tmp_path / "cured").mkdir()
    assert worked(tmp_path / "cured", setup, change + CURE).losses == []


@pytest.mark.parametrize("index", INDEXED.values(), ids=INDEXED)
def test_one_that_did_not_match_before_is_no_loss_of_this_migration(
    tmp_path: Path, index: str
) -> None:
    change = "ALTER TABLE items ADD COLUMN more"
    said = worked(tmp_path, ITEMS + ROWS + index + BUILT + OTHER, change)
    assert (said.losses, said.warnings) == ([], [])


def test_rows_that_a_rebuild_numbers_anew_are_others_to_an_index(tmp_path: Path) -> None:
    """No row has changed, and every search finds another one."""
    setup = (
        "CREATE TABLE items (k TEXT PRIMARY KEY, name TEXT);"
        "INSERT INTO items VALUES ('b', 'oak'), ('a', 'ash');"
        "CREATE VIRTUAL TABLE s USING fts5 (name, content=items);" + BUILT
    )
    change = (
        "CREATE TABLE fresh (k TEXT PRIMARY KEY, name TEXT);"
        "INSERT INTO fresh SELECT * FROM items ORDER BY k; DROP TABLE items;"
        "ALTER TABLE fresh RENAME TO items"
    )
    assert [loss.name for loss in worked(tmp_path, setup, change).losses] == ["index s"]


UNSOUND = {
    "a column more": ("ALTER TABLE items ADD COLUMN more", False),
    "rows of another table": ("CREATE TABLE more (x); INSERT INTO more VALUES (1)", False),
    "another row": ("UPDATE items SET note = 'x' WHERE id = 5", True),
    "a row more": ("INSERT INTO items VALUES (9, 'x', 'y')", True),
    "a row indexed": ("INSERT INTO s (rowid, name) VALUES (7, 'x')", True),
    "an index optimized": ("INSERT INTO s(s) VALUES ('optimize')", True),
    "another definition": (f"DROP TABLE s; {INDEXED['fts4']}", True),
}


@pytest.mark.parametrize(("change", "is_checked"), UNSOUND.values(), ids=UNSOUND)
def test_what_did_not_change_is_not_read_word_by_word(
    tmp_path: Path, change: str, *, is_checked: bool
) -> None:
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    more = "INSERT INTO s (rowid, name) VALUES (8, 'not there');"
    run(before, ITEMS + ROWS + INDEXED["fts5"] + BUILT + more)
    shutil.copyfile(before, after)
    run(after, change)
    since = before, files.compare(before, after, quiet)
    assert fulltext.unsound(after, quiet) == {"s": MISMATCH}
    assert fulltext.unsound(after, quiet, since) == ({"s": MISMATCH} if is_checked else {})


def test_one_that_keeps_its_text_is_looked_at_as_well(tmp_path: Path) -> None:
    setup = "CREATE VIRTUAL TABLE s USING fts5 (name); INSERT INTO s VALUES ('oak'), ('ash');"
    found = worked(tmp_path, setup, "UPDATE s_content SET c0 = 'oak and more' WHERE id = 1")
    assert {loss.name for loss in found.losses} == {"s.name", "index s"}


def test_one_whose_rows_went_away_is_a_loss(tmp_path: Path) -> None:
    setup = ITEMS + ROWS + INDEXED["fts5"] + BUILT
    change = "ALTER TABLE items RENAME TO products"
    [loss] = worked(tmp_path, setup, change).losses
    assert loss.name == "index s"
    assert loss.what.startswith("it could not be looked at whether it matches its rows: ")


@pytest.mark.parametrize("own", ["fts5 (name)", "fts3 (name)"])
def test_one_that_kept_its_text_and_was_not_filled_anew_is_a_loss(tmp_path: Path, own: str) -> None:
    """The text is there to be read, in the table that keeps it now, and nothing is found by it."""
    setup = (
        f"{ITEMS} {ROWS} CREATE VIRTUAL TABLE s USING {own};"
        "INSERT INTO s (rowid, name) SELECT id, name FROM items;"
    )
    change = "DROP TABLE s;" + INDEXED["fts5"]
    assert [loss.name for loss in worked(tmp_path, setup, change).losses] == ["index s"]
    (tmp_path / "filled").mkdir()
    assert worked(tmp_path / "filled", setup, change + BUILT).losses == []


def test_a_new_one_that_nobody_filled_is_warned_of(tmp_path: Path) -> None:
    said = worked(tmp_path, ITEMS + ROWS, INDEXED["fts5"])
    assert (said.losses, said.warnings) == ([], [f"s: it does not match its rows; {CURE}"])


def test_one_that_was_renamed_is_the_same(tmp_path: Path) -> None:
    setup = ITEMS + ROWS + INDEXED["fts5"] + BUILT
    found = worked(tmp_path, setup, "ALTER TABLE s RENAME TO found;" + OTHER)
    assert [loss.name for loss in found.losses] == ["items.name", "index found"]
    (tmp_path / "known").mkdir()
    change = "ALTER TABLE s RENAME TO found; ALTER TABLE items ADD COLUMN more"
    said = worked(tmp_path / "known", setup + OTHER, change)
    assert (said.losses, said.warnings) == ([], [])


def test_one_that_cannot_be_looked_at_here_is_warned_of(tmp_path: Path) -> None:
    setup = ITEMS + ROWS + INDEXED["fts5"] + BUILT + UNKNOWN
    said = worked(tmp_path, setup, "ALTER TABLE items ADD COLUMN more")
    assert said.losses == []
    [warning] = said.warnings
    assert warning.startswith("s: it could not be looked at whether it matches its rows: ")
    assert "theirs" in warning


def test_indexes_that_keep_no_text_are_no_obstacle(tmp_path: Path) -> None:
    setup = (
        "CREATE VIRTUAL TABLE s USING fts5 (name, content=''); INSERT INTO s VALUES ('oak');"
        'CREATE VIRTUAL TABLE "a ""b; --" USING fts5 (x); CREATE TABLE t (v);'
    )
    said = worked(tmp_path, setup, "INSERT INTO t VALUES (1)")
    assert (said.losses, said.warnings) == ([], [])


def test_what_virtual_tables_keep_is_counted_once_and_under_their_name(tmp_path: Path) -> None:
    """What only indexes others' text has no rows of its own; what cannot be asked is left out."""
    setup = (
        ITEMS + ROWS + INDEXED["fts4"] + "CREATE VIRTUAL TABLE own USING fts5 (content, title);"
        "INSERT INTO own VALUES ('a', 'b'), ('c', 'd'); CREATE VIRTUAL TABLE old USING fts3 (x);"
        "INSERT INTO old VALUES ('a'); CREATE TABLE old_stat (v); INSERT INTO old_stat VALUES (1);"
        "CREATE VIRTUAL TABLE bare USING fts5 (x, content=''); INSERT INTO bare VALUES ('a');"
        "CREATE VIRTUAL TABLE boxes USING rtree (id, low, high);"
        "INSERT INTO boxes VALUES (1, 0, 1), (2, 0, 1), (3, 4, 5), (4, 4, 5);"
        "CREATE VIRTUAL TABLE words USING fts5vocab (own, row);"
        "CREATE VIRTUAL TABLE z USING dbstat;"
        "CREATE VIRTUAL TABLE broken USING fts5 (x); DROP TABLE broken_content;"
        "CREATE VIRTUAL TABLE theirs USING fts5 (x); INSERT INTO theirs VALUES ('a');"
        "PRAGMA writable_schema = ON; UPDATE sqlite_master"
        " SET sql = 'CREATE VIRTUAL TABLE theirs USING fts5 (x, tokenize=theirs)'"
        " WHERE name = 'theirs'"
    )
    run(tmp_path / "a.db", setup)
    counts = check.verify(tmp_path / "a.db", Session(quiet, 1)).rows
    assert counts == {
        "bare": 1, "boxes": 4, "broken": 0, "items": 3, "old": 1, "old_stat": 1, "own": 2,
    }  # fmt: skip


def test_an_emptied_full_text_table_is_missed_as_any_other(stocked: Project) -> None:
    run(
        stocked.database,
        "CREATE VIRTUAL TABLE notes USING fts5 (body); INSERT INTO notes VALUES ('only here')",
    )
    stocked.ok("just", "backup")
    run(stocked.database, "DELETE FROM notes")
    assert "had rows before and have none now: notes" in stocked.just("backup").err
    assert "have none in it: notes" in stocked.ok("just", "status")


def test_what_one_of_another_kind_before_kept_decides_nothing(tmp_path: Path) -> None:
    setup = "CREATE VIRTUAL TABLE notes USING fts4 (body); INSERT INTO notes VALUES ('a')"
    change = (
        "CREATE VIRTUAL TABLE n USING fts5 (body); INSERT INTO n SELECT body FROM notes;"
        "DROP TABLE notes; ALTER TABLE n RENAME TO notes"
    )
    found = report(tmp_path, setup, change)
    assert found.losses == []
    assert not [text for text in found.changes if text.endswith("rows)")]
