"""``undo --keep`` on PostgreSQL: the step alone is taken back, and what others did since stays."""

import json

import pytest
from pg_merging import expected, keep, rows
from pg_rich import Rich, racing
from server import Server
from shop import half

from undrop.compare import merge
from undrop.errors import UndropError

OWNER = "undrop_keeper"
SHOP = """
CREATE TABLE suppliers (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE items (id serial PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(10,2),
  supplier_id int REFERENCES suppliers ON DELETE SET NULL);
CREATE TABLE lines (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int CHECK (n > 0),
  item_id int NOT NULL REFERENCES items ON DELETE CASCADE,
  twice int GENERATED ALWAYS AS (n * 2) STORED);
CREATE TABLE seen (what text, n int);
INSERT INTO suppliers (name) VALUES ('acme'), ('bolts & co');
INSERT INTO items (name, price, supplier_id)
  VALUES ('nut', 1.50, 1), ('bolt', 2, 1), ('nail', 3, 2), ('pin', 4, NULL);
INSERT INTO lines (n, item_id) VALUES (5, 1), (6, 2), (7, 3);
INSERT INTO seen VALUES ('door', 1), ('door', 1), ('hall', 2), (NULL, NULL);
"""
OTHERS = """
INSERT INTO items (name, price) VALUES ('screw', 9); INSERT INTO lines (n, item_id) VALUES (1, 5);
UPDATE items SET price = 3.30 WHERE id = 3; INSERT INTO seen VALUES ('roof', 3);
DELETE FROM seen WHERE what = 'hall';
"""


def made(pg: Rich, script: str, owner: str = "") -> Rich:
    """A database that a script makes."""
    pg.server.sql(f'CREATE DATABASE "{pg.name}"' + (f" OWNER {owner}" if owner else ""))
    pg.psql(f"SET ROLE {owner};\n{script}" if owner else script)
    return pg


@pytest.fixture(autouse=True)
def named(pg: Rich, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core, called in this process, goes to the same database."""
    for name, value in pg.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def shop(pg: Rich) -> Rich:
    return made(pg, SHOP)


@pytest.fixture
def owned(pg: Rich, server: Server, monkeypatch: pytest.MonkeyPatch) -> Rich:
    """A shop of somebody who is no superuser."""
    if not server.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{OWNER}'"):
        server.sql(f"CREATE ROLE {OWNER} LOGIN CREATEDB")
    url = pg.url.replace("postgres@", f"{OWNER}@")
    pg.environment["QUARTERMASTER_DB_URL"] = url
    monkeypatch.setenv("QUARTERMASTER_DB_URL", url)
    return made(pg, SHOP, OWNER)


def step(pg: Rich, statements: str) -> None:
    """Somebody's own command, behind a backup."""
    pg.ok("undrop", "run", "--", *pg.client(statements))


def test_what_others_did_since_stays(shop: Rich) -> None:
    step(
        shop,
        "DELETE FROM items WHERE id IN (1, 4); DELETE FROM seen WHERE what = 'door'; "
        "UPDATE items SET name = name || '!'; DELETE FROM suppliers",
    )
    after = rows(shop)
    shop.psql(OTHERS)
    state = rows(shop)
    shop.refused(4, "undrop", "undo")
    done = shop.done("undrop", "undo", "--keep")
    assert rows(shop) == expected(shop, SHOP, OTHERS)
    assert "lines: 1 row(s) back" in done.err
    shop.ok("undrop", "undo")
    assert rows(shop) == state != after


@pytest.mark.full
def test_a_conflict_stops_it_and_live_stays_as_it_is(shop: Rich) -> None:
    step(shop, "UPDATE items SET price = 0")
    shop.psql("UPDATE items SET price = 7 WHERE id = 2; UPDATE items SET name = 'x' WHERE id = 3")
    done = shop.refused(4, "undrop", "undo", "--keep", "--json")
    [conflict] = json.loads(done.out)["conflicts"]
    assert (conflict["table"], conflict["column"], conflict["key"]) == ("items", "price", {"id": 2})
    assert (conflict["live"], conflict["other"]) == ("7.00", "2.00")
    prices = "SELECT string_agg(concat(name, price), ' ' ORDER BY id) FROM items"
    shop.ok("undrop", "undo", "--keep", "--live")
    assert shop.sql(prices) == [("nut1.50 bolt7.00 x3.00 pin4.00",)]


@pytest.mark.full
def test_the_value_of_before_where_that_is_asked_for(shop: Rich) -> None:
    others = "UPDATE items SET price = 7 WHERE id = 2; UPDATE items SET name = 'x' WHERE id = 3"
    keep(shop, "UPDATE items SET price = 0", others, "theirs")
    assert rows(shop) == expected(shop, SHOP, "UPDATE items SET name = 'x' WHERE id = 3")


@pytest.mark.parametrize(
    ("of_step", "of_others", "why"),
    half(
        [
            (
                "DELETE FROM items WHERE id = 4",
                "INSERT INTO items VALUES (4, 'new', 1)",
                merge.TAKEN,
            ),
            ("DELETE FROM items WHERE id = 4", "INSERT INTO items VALUES (8, 'pin', 1)", "unique"),
            (
                "UPDATE items SET price = 0 WHERE id = 4",
                "DELETE FROM items WHERE id = 4",
                merge.GONE,
            ),
            (
                "INSERT INTO items VALUES (9, 'n', 1)",
                "UPDATE items SET price = 2 WHERE id = 9",
                merge.GONE,
            ),
            (
                "INSERT INTO items VALUES (9, 'n', 1)",
                "INSERT INTO lines (n, item_id) VALUES (9, 9)",
                "rows point to it there (lines)",
            ),
            (
                "DELETE FROM lines WHERE item_id = 3",
                "DELETE FROM items WHERE id = 3",
                "points to no row there (items)",
            ),
            (
                "INSERT INTO seen VALUES ('roof', 1), ('roof', 1)",
                "DELETE FROM seen WHERE what = 'roof' AND ctid = (SELECT max(ctid) FROM seen)",
                merge.FEWER,
            ),
            (
                "DELETE FROM items WHERE id = 4",
                "ALTER TABLE items ADD CHECK (price < 4)",
                "check constraint",
            ),
        ]
    ),
)
def test_each_kind_of_conflict_is_told_and_nothing_of_it_is_done(
    shop: Rich, of_step: str, of_others: str, why: str
) -> None:
    others = f"{of_others}; UPDATE suppliers SET name = 'b' WHERE id = 2"
    kept = keep(shop, of_step, others, force=True)
    assert [why in said for said in kept.why] == [True]
    assert len(kept.conflicts) == 1
    assert rows(shop) == expected(shop, SHOP, of_step, others)


@pytest.mark.full
def test_what_a_cascade_would_take_of_others_is_no_part_of_it(shop: Rich) -> None:
    """The step's item goes but for the line that somebody has given it since."""
    kept = keep(
        shop,
        "INSERT INTO items VALUES (8, 'mine', 1), (9, 'also', 1); "
        "INSERT INTO lines (n, item_id) VALUES (1, 8), (2, 9)",
        "INSERT INTO lines (n, item_id) VALUES (3, 9)",
        force=True,
    )
    assert [each.key for each in kept.conflicts] == [{"id": 9}]
    assert shop.sql("SELECT id FROM items WHERE id > 4") == [(9,)]
    assert shop.sql("SELECT n FROM lines WHERE item_id = 9") == [(3,)]


@pytest.mark.full
@pytest.mark.parametrize(
    "of_step",
    [
        # A unique value that another row has meanwhile, in a table that others point to.
        "UPDATE items SET supplier_id = NULL; DELETE FROM suppliers; "
        "INSERT INTO suppliers VALUES (7, 'acme'); UPDATE items SET supplier_id = 7",
        # One behind the other, with lines that must not go.
        "UPDATE items SET name = 'x' WHERE id = 4; UPDATE items SET name = 'pin' WHERE id = 3; "
        "UPDATE items SET name = 'nail' WHERE id = 2",
        "DELETE FROM lines; DELETE FROM items; DELETE FROM suppliers",
    ],
)
def test_rows_come_in_whatever_order_the_server_takes_them(shop: Rich, of_step: str) -> None:
    others = "INSERT INTO seen VALUES ('roof', 3); INSERT INTO suppliers (name) VALUES ('z')"
    assert keep(shop, of_step, others).conflicts == []
    assert rows(shop) == expected(shop, SHOP, others)


def test_values_that_rows_took_from_each_other_stay_where_others_would_go_with_them(
    shop: Rich,
) -> None:
    """Such rows would have to go and come again, and with them what points to them."""
    swap = (
        "UPDATE {0} SET name = name || '?' WHERE id < 3;"
        "UPDATE {0} SET name = CASE id WHEN 1 THEN '{1}' ELSE '{2}' END WHERE id < 3"
    )
    of_step = swap.format("items", "bolt", "nut")
    kept = keep(shop, of_step, "INSERT INTO seen VALUES ('roof', 3)", force=True)
    assert sorted(str(each.key["id"]) for each in kept.conflicts) == ["1", "2"]
    shop.psql("DELETE FROM lines")
    lone = "DELETE FROM lines; UPDATE items SET supplier_id = NULL;"
    assert keep(shop, lone + swap.format("suppliers", "b", "a"), "SELECT 1").conflicts == []


CIRCLE = """
CREATE TABLE teams (id int PRIMARY KEY, name text UNIQUE, head int NOT NULL);
CREATE TABLE people (id int PRIMARY KEY, team int NOT NULL REFERENCES teams, boss int
  REFERENCES people ON DELETE CASCADE);
INSERT INTO teams VALUES (1, 'red', 1), (2, 'blue', 3);
INSERT INTO people VALUES (1, 1, NULL), (2, 1, 1), (3, 2, 1), (4, 2, 3);
ALTER TABLE teams ADD CONSTRAINT head FOREIGN KEY (head) REFERENCES people {};
"""


@pytest.mark.full
@pytest.mark.parametrize("late", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_rows_that_point_to_each_other_come_back(pg: Rich, late: str) -> None:
    made(pg, CIRCLE.format(late))
    drop = "ALTER TABLE teams DROP CONSTRAINT head; DELETE FROM people; DELETE FROM teams;"
    again = f"ALTER TABLE teams ADD CONSTRAINT head FOREIGN KEY (head) REFERENCES people {late};"
    others = "CREATE TABLE other (v int); INSERT INTO other VALUES (1)"
    kept = keep(pg, drop + again, others)
    assert kept.conflicts == []
    assert rows(pg) == expected(pg, CIRCLE.format(late), others)
    assert pg.sql("SELECT condeferrable FROM pg_constraint WHERE conname = 'head'") == [
        (bool(late),)
    ]


TRIGGERS = """
CREATE TABLE noted (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO noted VALUES (TG_NAME); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER note_one BEFORE INSERT OR UPDATE OR DELETE ON items FOR EACH ROW
  EXECUTE FUNCTION note();
CREATE TRIGGER note_always AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE items ENABLE ALWAYS TRIGGER note_always;
CREATE TRIGGER note_never AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE items DISABLE TRIGGER note_never;
CREATE TRIGGER note_replica AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE items ENABLE REPLICA TRIGGER note_replica;
CREATE RULE stay AS ON DELETE TO seen DO INSTEAD NOTHING;
"""


@pytest.mark.full
@pytest.mark.parametrize("user", ["postgres", OWNER])
def test_what_triggers_did_is_not_done_again(
    pg: Rich, request: pytest.FixtureRequest, user: str
) -> None:
    request.getfixturevalue("shop" if user == "postgres" else "owned")
    pg.psql(f"SET ROLE {user}; {TRIGGERS}")
    states = "SELECT tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
    was, noted = pg.sql(states), "SELECT count(*) FROM noted"
    kept = keep(
        pg,
        "DELETE FROM items WHERE id = 1; INSERT INTO seen VALUES ('roof', 1)",
        "INSERT INTO suppliers (name) VALUES ('z')",
    )
    assert kept.conflicts == []
    assert kept.set_aside == ["note_always", "note_one", "stay"]
    assert pg.sql("SELECT name FROM items WHERE id = 1") == [("nut",)]
    assert pg.sql("SELECT * FROM seen WHERE what = 'roof'") == []
    assert pg.sql(noted) == [(0,)]  # the step's own line is taken back, and there is no new one
    assert pg.sql(states) == was
    pg.psql("DELETE FROM seen")
    assert pg.sql("SELECT count(*) FROM seen") == [(4,)]


def test_triggers_run_where_that_is_asked_for(shop: Rich) -> None:
    shop.psql(TRIGGERS)
    kept = keep(
        shop,
        "ALTER TABLE items DISABLE TRIGGER USER; DELETE FROM items WHERE id = 1;"
        "ALTER TABLE items ENABLE TRIGGER note_one",
        "INSERT INTO suppliers (name) VALUES ('z')",
        triggers=True,
    )
    assert kept.set_aside == []
    assert shop.sql("SELECT * FROM noted") == [("note_one",)]


@pytest.mark.full
def test_who_may_not_set_a_trigger_aside_is_refused(owned: Rich) -> None:
    owned.psql(
        f"{TRIGGERS} ALTER TABLE items OWNER TO postgres; GRANT ALL ON items, noted TO {OWNER};"
        f"GRANT ALL ON items_id_seq TO {OWNER}"
    )
    with pytest.raises(UndropError, match=r"trigger note_always of public.items would"):
        keep(owned, "UPDATE items SET price = 0", "INSERT INTO seen VALUES ('roof', 1)")
    assert owned.sql("SELECT sum(price) FROM items") == [(0,)]


@pytest.mark.full
def test_who_may_not_write_is_refused_before_anything_is_done(owned: Rich) -> None:
    owned.psql(f"ALTER TABLE seen OWNER TO postgres; GRANT SELECT, INSERT ON seen TO {OWNER}")
    with pytest.raises(
        UndropError, match=r"public.seen, which belongs to postgres: it lacks DELETE"
    ):
        keep(owned, "INSERT INTO seen VALUES ('x', 9)", "INSERT INTO suppliers VALUES (9, 'z')")
    assert owned.sql("SELECT count(*) FROM seen WHERE n = 9") == [(1,)]


@pytest.mark.parametrize("others", ["INSERT INTO seen VALUES ('roof', 3)", OTHERS])
def test_an_owner_who_is_no_superuser_may(owned: Rich, others: str) -> None:
    kept = keep(owned, "DELETE FROM suppliers; DELETE FROM items WHERE id = 2", others)
    assert kept.conflicts == []
    assert rows(owned) == expected(owned, SHOP, others, owner=OWNER)


@pytest.mark.full
def test_rows_that_a_policy_hides_are_never_half_of_a_merge(owned: Rich) -> None:
    owned.psql(
        "CREATE TABLE hidden (v int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;"
        f"CREATE POLICY shown ON hidden USING (v > 1); GRANT ALL ON hidden TO {OWNER};"
        "INSERT INTO hidden VALUES (1), (2)"
    )
    with pytest.raises(UndropError, match="row-level security"):
        keep(owned, "UPDATE items SET price = 0", "INSERT INTO hidden VALUES (3)")
    assert owned.sql("SELECT sum(price) FROM items") == [(0,)]
    assert owned.sql("SELECT count(*) FROM hidden") == [(3,)]


@pytest.mark.full
def test_a_number_is_given_out_once(shop: Rich) -> None:
    """The step took the newest rows away and set their sequences back, as TRUNCATE does."""
    step_ = (
        "TRUNCATE lines RESTART IDENTITY; DELETE FROM items WHERE id = 4;"
        "SELECT setval('items_id_seq', 2)"
    )
    assert keep(shop, step_, "INSERT INTO seen VALUES ('roof', 3)").conflicts == []
    [(line,)] = shop.sql("INSERT INTO lines (n, item_id) VALUES (1, 1) RETURNING id")
    [(item,)] = shop.sql("INSERT INTO items (name) VALUES ('z') RETURNING id")
    assert (line, item) == (4, 5)


@pytest.mark.parametrize("schema", [False, True])
def test_a_sequence_that_is_further_on_stays_there(shop: Rich, *, schema: bool) -> None:
    of_step = "DELETE FROM items WHERE id = 4" + "; ALTER TABLE items ADD colour text" * schema
    kept = keep(shop, of_step, "SELECT nextval('items_id_seq') FROM seen", schema=schema)
    assert kept.conflicts == []
    assert shop.sql("SELECT nextval('items_id_seq')") == [(9,)]


@pytest.mark.smoke
def test_rows_of_the_new_schema_go_into_the_one_before_it(shop: Rich) -> None:
    """The step renamed, added and dropped columns, renamed a table and changed a type."""
    kept = keep(
        shop,
        "ALTER TABLE items RENAME name TO title; ALTER TABLE items ADD colour text;"
        "ALTER TABLE seen RENAME TO looked_at; ALTER TABLE suppliers ADD CHECK (name <> '');"
        "ALTER TABLE items ALTER price TYPE numeric(12,3); UPDATE items SET price = price * 2;"
        "ALTER TABLE lines DROP twice",
        "INSERT INTO items (title, price, supplier_id) VALUES ('screw', 9.5, 2);"
        "INSERT INTO lines (n, item_id) VALUES (1, 5); INSERT INTO looked_at VALUES ('roof', 3);"
        "UPDATE items SET title = 'big nut' WHERE id = 1; DELETE FROM lines WHERE id = 2;"
        "DELETE FROM looked_at WHERE what = 'hall'; INSERT INTO suppliers (name) VALUES ('z')",
        schema=True,
    )
    assert kept.conflicts == []
    assert rows(shop) == expected(
        shop,
        SHOP,
        "INSERT INTO items (name, price, supplier_id) VALUES ('screw', 9.5, 2);"
        "INSERT INTO lines (n, item_id) VALUES (1, 5); INSERT INTO seen VALUES ('roof', 3);"
        "UPDATE items SET name = 'big nut' WHERE id = 1; DELETE FROM lines WHERE id = 2;"
        "DELETE FROM seen WHERE what = 'hall'; INSERT INTO suppliers (name) VALUES ('z')",
    )
    [(line,)] = shop.sql("INSERT INTO lines (n, item_id) VALUES (1, 1) RETURNING id")
    assert line == 5


@pytest.mark.full
def test_what_the_schema_before_has_no_place_for_is_a_conflict(shop: Rich) -> None:
    kept = keep(
        shop,
        "ALTER TABLE items ADD colour text; ALTER TABLE items ALTER price TYPE numeric(12,4);"
        "CREATE TABLE extra (v int)",
        "UPDATE items SET colour = 'red' WHERE id = 1;"
        "UPDATE items SET price = 1.2345 WHERE id = 2; INSERT INTO extra VALUES (1);"
        "UPDATE items SET price = 5 WHERE id = 3",
        schema=True,
        force=True,
    )
    told = {(each.table, each.column, each.why.split(" ")[0]) for each in kept.conflicts}
    assert told == {("items", "colour", "there"), ("items", "", "a"), ("extra", "", "there")}
    assert shop.sql("SELECT price::text FROM items ORDER BY id") == [
        ("1.50",), ("2.00",), ("5.00",), ("4.00",)
    ]  # fmt: skip


@pytest.mark.usefixtures("rich")
def test_every_kind_of_value_comes_back_exactly(pg: Rich) -> None:
    # Rows without a key are not to go while they are published.
    pg.psql('DROP PUBLICATION "everything %"; DROP PUBLICATION app_only')
    before = pg.exactly()
    kept = keep(
        pg,
        "DELETE FROM values_of_all_kinds WHERE n IS NULL OR n <> 5; DELETE FROM measured;"
        "UPDATE values_of_all_kinds SET n = 6, j = '[1]', a = '{9}', p = ROW(1, 'x'), po = 7;"
        'DELETE FROM "Odd ""schema"".%s"."Tä.b%s ""le""; DROP"; DELETE FROM parent WHERE id = 9;'
        "DELETE FROM dogs; DELETE FROM hashed WHERE id > 5; DELETE FROM booked; "
        "SET session_replication_role = replica; DELETE FROM egg; DELETE FROM hen",
        "INSERT INTO empty_one VALUES (1, 'others')",
    )
    assert kept.conflicts == []
    now = pg.exactly()
    assert sorted(now) == sorted([*before, "public.empty_one (1,others)"])


@pytest.mark.full
def test_bytes_of_large_objects_are_no_rows(shop: Rich) -> None:
    shop.psql("SELECT lo_from_bytea(77, 'one')")
    kept = keep(
        shop,
        "SELECT lo_put(77, 0, 'two'); UPDATE items SET price = 0",
        "INSERT INTO seen VALUES ('roof', 3)",
    )
    assert [each.table for each in kept.conflicts] == ["large objects"]
    assert shop.sql("SELECT lo_get(77), sum(price) FROM items") == [(b"two", 0)]


def test_who_writes_meanwhile_loses_nothing(shop: Rich) -> None:
    """Once it starts over; where it goes on it gives up, and live is as they left it."""
    shop.psql("CREATE TABLE t (v text)")
    step(shop, "DELETE FROM items WHERE id = 1")
    shop.psql("INSERT INTO seen VALUES ('roof', 3)")
    done = shop.undrop("undo", "--keep", PATH=racing(shop, 100))
    assert done.code == 1
    assert "was written to during each of" in done.err
    [(times,)] = shop.sql("SELECT count(*) FROM t")
    assert times > 2
    assert shop.sql("SELECT 1 FROM items WHERE id = 1") == []
    (shop.root.parent / "racing/n").write_text("99")
    shop.ok("undrop", "undo", "--keep", PATH=f"{shop.environment['PATH']}")
    assert shop.sql("SELECT count(*) FROM t") == [(times,)]
    assert shop.sql("SELECT name FROM items WHERE id = 1") == [("nut",)]
    assert shop.sql("SELECT n FROM seen WHERE what = 'roof'") == [(3,)]


@pytest.mark.full
def test_a_migration_is_taken_back_with_its_revision(pg: Rich) -> None:
    pg.room()
    pg.ok("undrop", "migrate", "0005")
    pg.psql("INSERT INTO items (sku, name) VALUES ('a', 'nut'), ('b', 'bolt')")
    pg.ok("undrop", "migrate")
    pg.psql("INSERT INTO items (sku, name) VALUES ('c', 'nail'); DELETE FROM items WHERE sku = 'a'")
    pg.ok("undrop", "undo", "--keep")
    assert pg.sql("SELECT version_num FROM alembic_version") == [("0005",)]
    assert pg.sql("SELECT id, name FROM items ORDER BY id") == [(2, "bolt"), (3, "nail")]
    columns = "SELECT 1 FROM information_schema.columns WHERE column_name = 'reorder_level'"
    assert pg.sql(columns) == []
    pg.revise('op.execute("UPDATE items SET name = upper(name)")')
    pg.ok("undrop", "migrate", "--accept-loss")
    pg.psql("INSERT INTO items (sku, name) VALUES ('d', 'pin')")
    pg.ok("undrop", "undo", "--keep")  # 0006 and 9001 both
    assert pg.sql("SELECT version_num FROM alembic_version") == [("0005",)]
    assert pg.sql("SELECT name FROM items ORDER BY id") == [("bolt",), ("nail",), ("pin",)]


@pytest.mark.full
def test_a_migration_of_rows_alone_is_taken_back_with_its_revision(pg: Rich) -> None:
    pg.room()
    pg.ok("undrop", "migrate")
    pg.psql("INSERT INTO items (sku, name) VALUES ('a', 'nut')")
    pg.revise('op.execute("UPDATE items SET name = upper(name)")')
    pg.ok("undrop", "migrate", "--accept-loss")
    pg.psql("INSERT INTO items (sku, name) VALUES ('d', 'pin')")
    pg.ok("undrop", "undo", "--keep")
    assert pg.sql("SELECT version_num FROM alembic_version") == [("0006",)]
    assert pg.sql("SELECT name FROM items ORDER BY id") == [("nut",), ("pin",)]


def test_a_grant_of_others_is_not_lost_in_silence(shop: Rich, server: Server) -> None:
    if not server.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{OWNER}'"):
        server.sql(f"CREATE ROLE {OWNER} LOGIN CREATEDB")
    step(shop, "ALTER TABLE items ADD colour text")
    shop.psql(f"GRANT SELECT ON items TO {OWNER}; INSERT INTO seen VALUES ('roof', 3)")
    done = shop.refused(4, "undrop", "undo", "--keep")
    assert "both changed the schema" in done.err


def test_which_table_and_which_column_is_which(pg: Rich) -> None:
    """One without a key has its columns by their names; one that lost rows has the OID it had."""
    script = """
        CREATE TABLE pairs (a int, b int, c text);
        INSERT INTO pairs VALUES (5, 7), (7, 5), (5, 5), (7, 7);
        CREATE TABLE kinds (id int PRIMARY KEY, name varchar(9), note text);
        INSERT INTO kinds VALUES (1, 'x'), (2, ''), (3, 'z'); CREATE TABLE apart (v int);
    """
    shop = made(pg, script)
    others = (
        "INSERT INTO pairs (a, b) VALUES (1, 2)",
        "INSERT INTO kinds (id, name) VALUES (9, '')",
        "DELETE FROM kinds WHERE id = 3",
    )
    of_step = (
        "INSERT INTO pairs VALUES (6, 5); UPDATE pairs SET a = 5, b = 6 WHERE a = 6; "
        "ALTER TABLE pairs DROP c; DELETE FROM kinds WHERE id = 1; "
        "ALTER TABLE kinds RENAME name TO called; ALTER TABLE kinds RENAME TO sorts"
    )
    renamed = "; ".join(others).replace("kinds", "sorts").replace("name", "called")
    kept = keep(shop, of_step, renamed, schema=True)
    assert kept.conflicts == []
    assert rows(shop) == expected(shop, script, *others)
