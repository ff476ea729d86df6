"""Each thing that a migration weakens is warned of in words of its own, and counters are kept."""

from pathlib import Path

import pytest
from sides import report

from undrop.compare import losses

PARENT = "CREATE TABLE p (id INTEGER PRIMARY KEY);"


def rebuilt(columns: str, select: str = "*") -> str:
    return (
        f"CREATE TABLE fresh ({columns}; INSERT INTO fresh SELECT {select} FROM t;"
        "DROP TABLE t; ALTER TABLE fresh RENAME TO t;"
    )


WEAKER = {
    "AUTOINCREMENT": (
        "id INTEGER PRIMARY KEY AUTOINCREMENT)",
        "id INTEGER PRIMARY KEY{more})",
        "AUTOINCREMENT is gone",
    ),
    "AUTOINCREMENT of a constraint": (
        "id INTEGER, PRIMARY KEY (id AUTOINCREMENT))",
        "id INTEGER PRIMARY KEY{more})",
        "AUTOINCREMENT is gone",
    ),
    "a collation": (
        "id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE)",
        "id INTEGER PRIMARY KEY, v TEXT{more})",
        "v had COLLATE NOCASE, has none",
    ),
    "a collation that is another": (
        "v TEXT COLLATE [NoCase] NOT NULL)",
        'v TEXT NOT NULL COLLATE "rtrim"{more})',
        "v had COLLATE NoCase, has COLLATE rtrim",
    ),
    "a column that ignored NULL": (
        "v TEXT NOT NULL ON CONFLICT IGNORE DEFAULT 'x')",
        "v TEXT NOT NULL ON CONFLICT ABORT DEFAULT 'x'{more})",
        "NOT NULL of v had ON CONFLICT IGNORE, has none",
    ),
    "a unique column that replaced": (
        "v TEXT UNIQUE ON CONFLICT REPLACE)",
        "v TEXT UNIQUE{more})",
        "UNIQUE (v) had ON CONFLICT REPLACE, has none",
    ),
    "a unique constraint that replaced": (
        "v TEXT, n INT, UNIQUE (v, n) ON CONFLICT REPLACE CHECK (n < 9) ON CONFLICT FAIL)",
        "v TEXT, n INT{more}, CHECK (n < 9) UNIQUE (n, v) ON CONFLICT IGNORE)",
        "UNIQUE (n, v) had ON CONFLICT REPLACE, has ON CONFLICT IGNORE",
    ),
    "a key that replaced": (
        "id INTEGER PRIMARY KEY ON CONFLICT REPLACE)",
        "id INTEGER PRIMARY KEY{more})",
        "PRIMARY KEY had ON CONFLICT REPLACE, has none",
    ),
    "a foreign key that was looked at in the end": (
        "c INT REFERENCES p (id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED)",
        "c INT REFERENCES p (id) ON DELETE SET NULL{more})",
        "foreign key (c) to p had DEFERRABLE INITIALLY DEFERRED, has none",
    ),
    "likewise as a constraint": (
        "c INT, FOREIGN KEY (c) REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        "c INT{more}, FOREIGN KEY (c) REFERENCES p NOT DEFERRABLE INITIALLY DEFERRED)",
        "foreign key (c) to p had DEFERRABLE INITIALLY DEFERRED, has none",
    ),
    "a key of two columns likewise": (
        "a INT, b INT, CONSTRAINT pair FOREIGN KEY (a, b) REFERENCES p (x, y) DEFERRABLE)",
        "a INT, b INT{more}, CONSTRAINT pair FOREIGN KEY (a, b) REFERENCES p (x, y))",
        "foreign key (a, b) to p had DEFERRABLE, has none",
    ),
    "a key that went down": (
        "a TEXT, b TEXT, PRIMARY KEY (a, b DESC))",
        "a TEXT, b TEXT{more}, PRIMARY KEY (a, b ASC))",
        "b in PRIMARY KEY had DESC, has none",
    ),
    "a key of one column that went down": (
        "a TEXT PRIMARY KEY DESC)",
        "a TEXT PRIMARY KEY{more})",
        "a in PRIMARY KEY had DESC, has none",
    ),
    "a collation in a constraint": (
        "a TEXT, b TEXT, UNIQUE (a COLLATE NOCASE, b))",
        "a TEXT, b TEXT{more}, UNIQUE (a, b))",
        "a in UNIQUE (a, b) had COLLATE NOCASE, has none",
    ),
    "a key over more columns": (
        "a TEXT, b TEXT, PRIMARY KEY (a))",
        "a TEXT, b TEXT{more}, PRIMARY KEY (a, b))",
        "PRIMARY KEY had (a), has (a, b)",
    ),
    "a generated column that is plain": (
        "id INTEGER PRIMARY KEY, twice INT GENERATED ALWAYS AS (id * 2) STORED)",
        "id INTEGER PRIMARY KEY, twice INT{more})",
        "twice had GENERATED ALWAYS AS (id * 2), has none",
    ),
    "a column that is generated in another way": (
        "id INTEGER PRIMARY KEY, twice INT AS (id * 2))",
        "id INTEGER PRIMARY KEY, twice INT AS (id * 3) VIRTUAL{more})",
        "twice had GENERATED ALWAYS AS (id * 2), has GENERATED ALWAYS AS (id * 3)",
    ),
    "a key that numbered rows": (
        "id INTEGER PRIMARY KEY, v TEXT)",
        "id INT PRIMARY KEY, v TEXT{more})",
        "id had INTEGER PRIMARY KEY, which numbers rows, has INT PRIMARY KEY",
    ),
    "a key that numbered rows, WITHOUT ROWID": (
        "id INTEGER PRIMARY KEY, v TEXT)",
        "id INTEGER PRIMARY KEY, v TEXT{more}) WITHOUT ROWID",
        "id had INTEGER PRIMARY KEY, which numbers rows, has INTEGER PRIMARY KEY WITHOUT ROWID",
    ),
    "a default": (
        "id INTEGER PRIMARY KEY, v TEXT DEFAULT 'new, (or) not')",
        "id INTEGER PRIMARY KEY, v TEXT{more})",
        "v had DEFAULT 'new, (or) not', has none",
    ),
    "a default that is another": (
        "id INTEGER PRIMARY KEY, v TEXT DEFAULT 'New')",
        "id INTEGER PRIMARY KEY, v TEXT DEFAULT 'new'{more})",
        "v had DEFAULT 'New', has DEFAULT 'new'",
    ),
    "STRICT": (
        "id INTEGER PRIMARY KEY, v TEXT) STRICT",
        "id INTEGER PRIMARY KEY, v TEXT{more})",
        "STRICT is gone",
    ),
    "WITHOUT ROWID": (
        "k TEXT PRIMARY KEY NOT NULL, v TEXT) WITHOUT ROWID, STRICT",
        "k TEXT PRIMARY KEY NOT NULL, v TEXT{more}) STRICT",
        "WITHOUT ROWID is gone",
    ),
}


@pytest.mark.parametrize("more", ["", ", more TEXT"], ids=["alone", "a column more"])
@pytest.mark.parametrize(("before", "after", "said"), WEAKER.values(), ids=WEAKER)
def test_what_a_rebuild_weakens_is_said(
    tmp_path: Path, before: str, after: str, said: str, more: str
) -> None:
    change = "DROP TABLE t; CREATE TABLE t (" + after.format(more=more)
    found = report(tmp_path, f"{PARENT} CREATE TABLE t ({before}", change)
    assert (found.losses, found.warnings) == ([], [f"t: {said}"])


@pytest.mark.parametrize("before", [case[0] for case in WEAKER.values()], ids=WEAKER)
def test_how_it_is_written_is_not_warned_of(tmp_path: Path, before: str) -> None:
    words = before.replace(" TEXT", " /* ', UNIQUE (v) */ TEXT").replace(
        "PRIMARY", "\nprimary --)\n"
    )
    change = f"DROP TABLE t; CREATE TABLE t ({words}"
    found = report(tmp_path, f"{PARENT} CREATE TABLE t ({before}", change)
    assert (found.losses, found.warnings, found.changes) == ([], [], [])


STRICTER = {
    "a collation": ("v TEXT UNIQUE)", "v TEXT UNIQUE COLLATE NOCASE)"),
    "a default": ("v TEXT DEFAULT NULL)", "v TEXT DEFAULT 'x')"),
    "a default that was none": ("v TEXT DEFAULT NULL)", "v TEXT)"),
    "a key": ("a TEXT, b TEXT, PRIMARY KEY (a, b))", "a TEXT PRIMARY KEY, b TEXT)"),
    "a key that is unique beside another one": (
        "a TEXT NOT NULL, b TEXT NOT NULL, PRIMARY KEY (a, b))",
        "a TEXT NOT NULL, b TEXT NOT NULL PRIMARY KEY, UNIQUE (b, a))",
    ),
    "a key that is unique beside one that is more": (
        "a TEXT PRIMARY KEY, b TEXT)",
        "a TEXT UNIQUE, b TEXT, PRIMARY KEY (b, a))",
    ),
    "all the rest": (
        "id INTEGER PRIMARY KEY, v TEXT, c INT REFERENCES p)",
        "id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT NOT NULL ON CONFLICT FAIL,"
        " c INT REFERENCES p DEFERRABLE INITIALLY DEFERRED) STRICT",
    ),
    "binary, which it was": ("v TEXT COLLATE BINARY)", "v TEXT)"),
    "abort, which it did": ("v TEXT UNIQUE ON CONFLICT ABORT)", "v TEXT UNIQUE)"),
}


@pytest.mark.parametrize(("before", "after"), STRICTER.values(), ids=STRICTER)
def test_what_became_stricter_is_not_warned_of(tmp_path: Path, before: str, after: str) -> None:
    change = f"DROP TABLE t; CREATE TABLE t ({after}"
    found = report(tmp_path, f"{PARENT} CREATE TABLE t ({before}", change)
    assert (found.losses, found.warnings, found.changes) == ([], [], ["table t defined anew"])


T = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INT);"
INDEXES = {
    "UNIQUE": (
        "CREATE UNIQUE INDEX i ON t (v)",
        "CREATE INDEX i ON t (v)",
        "index i had UNIQUE (v), has none",
    ),
    "UNIQUE of what is computed": (
        "CREATE UNIQUE INDEX i ON t (lower(v), n)",
        "CREATE INDEX i ON t (lower(v), n)",
        "index i had UNIQUE (lower ( v ), n), has none",
    ),
    "UNIQUE over more": (
        "CREATE UNIQUE INDEX i ON t (v)",
        "CREATE UNIQUE INDEX i ON t (v, n)",
        "index i had UNIQUE (v), has UNIQUE (v, n)",
    ),
    "UNIQUE of some rows only": (
        "CREATE UNIQUE INDEX i ON t (v)",
        "CREATE UNIQUE INDEX i ON t (v) WHERE n > 1",
        "index i had no WHERE, has WHERE n > 1",
    ),
    "a partial one": (
        "CREATE INDEX i ON t (v) WHERE n > 1",
        "CREATE INDEX i ON t (v)",
        "index i had WHERE n > 1, has none",
    ),
    "another part": (
        "CREATE INDEX i ON t (v) WHERE n > 1",
        "CREATE INDEX i ON t (v) WHERE v = 'WHERE'",
        "index i had WHERE n > 1, has WHERE v = 'WHERE'",
    ),
    "DESC": (
        "CREATE INDEX i ON t (v, n DESC)",
        "CREATE INDEX i ON t (v, n)",
        "index i: n had DESC, has none",
    ),
    "a collation": (
        "CREATE UNIQUE INDEX i ON t (v COLLATE NOCASE, n)",
        "CREATE UNIQUE INDEX i ON t (v, n)",
        "index i: v had COLLATE NOCASE, has none",
    ),
}


@pytest.mark.parametrize("more", ["", "ALTER TABLE t ADD COLUMN more;"], ids=["alone", "a column"])
@pytest.mark.parametrize(("before", "after", "said"), INDEXES.values(), ids=INDEXES)
def test_what_an_index_no_longer_does_is_said(
    tmp_path: Path, before: str, after: str, said: str, more: str
) -> None:
    found = report(tmp_path, f"{T} {before}", f"DROP INDEX i; {more} {after}")
    assert (found.losses, found.warnings) == ([], [said])
    assert "index i defined anew" not in found.changes


def test_a_unique_index_over_fewer_columns_holds_still(tmp_path: Path) -> None:
    setup = f"{T} CREATE UNIQUE INDEX i ON t (v, n)"
    found = report(tmp_path, setup, "DROP INDEX i; CREATE UNIQUE INDEX i ON t (v)")
    assert (found.losses, found.warnings, found.changes) == ([], [], ["index i defined anew"])


BODY = "CREATE TRIGGER s AFTER INSERT ON t BEGIN UPDATE t SET n = {0} WHERE id = new.id; END;"


def test_another_body_of_a_trigger_or_a_view_is_said_around_what_differs(tmp_path: Path) -> None:
    view = "CREATE VIEW w AS SELECT id, v, n, 1, 2, 3, 4, 5, 6, 7 FROM t WHERE n > {0} AND id > 0;"
    setup = T + BODY.format(1) + view.format(5)
    change = (
        "ALTER TABLE t ADD COLUMN more; DROP TRIGGER s; DROP VIEW w;"
        f"{BODY.format('upper(v)')} {view.format('6 OR n < 3')}"
    )
    found = report(tmp_path, setup, change)
    assert (found.losses, found.changes) == ([], ["t.more added"])
    assert set(found.warnings) == {
        'trigger s had "… set n = 1 where id = …", has "… set n = upper ( v ) where id = …"',
        'view w had "… where n > 5 and id > …", has "… where n > 6 or n < 3 and id > …"',
    }


def test_a_long_body_is_shown_by_its_ends(tmp_path: Path) -> None:
    made = "CREATE TRIGGER s AFTER INSERT ON t BEGIN {0} END;"
    body = " ".join(f"SELECT {n};" for n in range(50))
    change = f"DROP TRIGGER s; {made.format(body)}"
    [said] = report(tmp_path, T + made.format("SELECT 'a';"), change).warnings
    few = "… t begin select 'a' ; end"
    many = "… t begin select 0 ; select … 48 ; select 49 ; end"
    assert said == f'trigger s had "{few}", has "{many}"'


def test_where_the_beginning_differs_nothing_is_left_out_before_it(tmp_path: Path) -> None:
    change = "DROP TRIGGER s;" + BODY.replace("AFTER", "BEFORE").format(1)
    [said] = report(tmp_path, T + BODY.format(1), change).warnings
    was, is_now = (f"create trigger {when} insert on t …" for when in ("after", "before"))
    assert said == f'trigger s had "{was}", has "{is_now}"'


def test_what_follows_from_a_new_name_is_not_said(tmp_path: Path) -> None:
    setup = (
        PARENT + "CREATE TABLE c (t INT REFERENCES t);"
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT COLLATE NOCASE"
        " DEFAULT 'v', n INT NOT NULL ON CONFLICT IGNORE REFERENCES p"
        " DEFERRABLE INITIALLY DEFERRED,"
        " g INT AS (n + length(v)), UNIQUE (v DESC, n) ON CONFLICT FAIL, CHECK (length(v) < 9));"
        "CREATE UNIQUE INDEX i ON t (v COLLATE RTRIM, lower(v)) WHERE v > 'v';"
        f"CREATE UNIQUE INDEX j ON t (n, v); {BODY.format('length(v)')}"
        "CREATE VIEW w AS SELECT v, n FROM t, p WHERE p.id = t.n;"
        "INSERT INTO t (v, n) VALUES ('a', NULL), ('b', 1), ('c', 2)"
    )
    change = (
        "ALTER TABLE t RENAME v TO word; ALTER TABLE t RENAME n TO number;"
        "ALTER TABLE t RENAME TO words; ALTER TABLE p RENAME TO parents"
    )
    found = report(tmp_path, setup, change)
    assert (found.losses, found.warnings) == ([], [])
    assert not [text for text in found.changes if "anew" in text]


def test_what_is_weaker_under_a_new_name_is_said_by_that(tmp_path: Path) -> None:
    setup = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE DEFAULT 'x');"
        "CREATE INDEX i ON t (v DESC); INSERT INTO t VALUES (1, 'a'), (2, 'b')"
    )
    change = (
        "CREATE TABLE u (id INTEGER PRIMARY KEY, word TEXT); INSERT INTO u SELECT * FROM t;"
        "DROP TABLE t; CREATE INDEX i ON u (word)"
    )
    assert set(report(tmp_path, setup, change).warnings) == {
        "u: word had COLLATE NOCASE, has none",
        "u: word had DEFAULT 'x', has none",
        "index i: word had DESC, has none",
    }


COUNTED = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT);"
    "INSERT INTO t VALUES (1, 'a'), (12, 'b'), (17, 'c'); DELETE FROM t WHERE id = 17;"
)
PLAIN = rebuilt("id INTEGER PRIMARY KEY, v TEXT)")
COUNTING = rebuilt("id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT)")
BACK = {
    "by hand": ("UPDATE sqlite_sequence SET seq = 0", "17 to 12", 5),
    "by a rebuild": (COUNTING, "17 to 12", 5),
    "by one that counts no more": (PLAIN, "17 to 12", 5),
    "and renamed": (COUNTING + "ALTER TABLE t RENAME TO u", "17 to 12", 5),
    "that is all there is": ("DELETE FROM sqlite_sequence", "17 to 12", 5),
}


@pytest.mark.parametrize(("change", "said", "numbers"), BACK.values(), ids=BACK)
def test_a_counter_that_gives_out_numbers_again_is_a_loss(
    tmp_path: Path, change: str, said: str, numbers: int
) -> None:
    found = report(tmp_path, COUNTED, change)
    [loss] = found.losses
    assert loss[:4] == ("counter t", f"set back from {said}", numbers, 17)
    for accepted in ("counter t", "Counter  u" if "RENAME TO u" in change else "COUNTER T"):
        assert losses.remaining(found, [accepted.lower()]) == []
    assert losses.remaining(found, ["rows t", "t.id"]) == [loss]


def test_the_counter_of_an_empty_table_is_all_that_it_has(tmp_path: Path) -> None:
    setup = COUNTED + "DELETE FROM t;"
    [loss] = report(tmp_path, setup, COUNTING).losses
    assert loss[:4] == ("counter t", "set back from 17 to 0", 17, 17)


KEPT = {
    "numbers that rows have": rebuilt("id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT)")
    + "UPDATE sqlite_sequence SET seq = 17",
    "a rename": "ALTER TABLE t RENAME TO u",
    "more rows": "INSERT INTO t (v) VALUES ('d')",
    "rows that are there": rebuilt("id INTEGER PRIMARY KEY, v TEXT)")
    + "INSERT INTO t VALUES (20, 'x')",
    "a key that no number is given": rebuilt("id TEXT PRIMARY KEY, v TEXT)"),
}


@pytest.mark.parametrize("change", KEPT.values(), ids=KEPT)
def test_a_counter_that_goes_on_is_no_loss(tmp_path: Path, change: str) -> None:
    assert report(tmp_path, COUNTED, change).losses == []


def test_a_counter_goes_with_its_table(tmp_path: Path) -> None:
    assert [loss.name for loss in report(tmp_path, COUNTED, "DROP TABLE t").losses] == ["table t"]
    (tmp_path / "aside").mkdir()
    aside = (
        "ALTER TABLE t RENAME TO old;CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT)"
    )
    assert report(tmp_path / "aside", COUNTED, aside).losses == []


def test_a_counter_that_is_no_number_stands_in_nobodys_way(tmp_path: Path) -> None:
    odd = "UPDATE sqlite_sequence SET seq = 'x'; INSERT INTO sqlite_sequence VALUES (NULL, NULL);"
    assert report(tmp_path, COUNTED + odd, "ALTER TABLE t ADD COLUMN more").losses == []
