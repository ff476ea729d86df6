"""What a command says of a PostgreSQL database's losses: each by its name, and none where none is."""

# ruff: noqa: E501 - a statement stands in one line

import pytest
from pg_rich import Rich
from shop import shown

FIRST = r"""
CREATE TYPE state AS ENUM ('on', 'off');
CREATE TABLE meant (id int PRIMARY KEY, s state, many state[], ip text, ok text, u text);
INSERT INTO meant VALUES (1, 'on', '{on,off}', '10.0.0.1', 'yes', 'A0EEBC999C0B4EF8BB6D6BB9BD380A11'),
    (2, 'off', NULL, '::1', 'f', '{b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}');
CREATE TABLE local (id int PRIMARY KEY, at timestamp); INSERT INTO local VALUES (1, '2024-07-05 12:00');
CREATE TABLE zoned AS SELECT * FROM local;
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
INSERT INTO parts VALUES (1, '2024-05-05'), (3, '2023-05-05');
CREATE TABLE parts_2 (id int, at date); INSERT INTO parts_2 VALUES (1, '2025-05-05'), (2, '2025-06-06');
CREATE SEQUENCE numbers; CREATE SEQUENCE other; SELECT setval('numbers', 70), setval('other', 7);
CREATE TABLE held (id int, secret text); ALTER TABLE held ENABLE ROW LEVEL SECURITY;
GRANT SELECT, INSERT ON held TO pg_monitor;
CREATE TABLE told (id int); CREATE RULE quiet AS ON DELETE TO told DO INSTEAD NOTHING;
CREATE PUBLICATION papers FOR TABLE told;
CREATE VIEW seen AS SELECT id FROM held;
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION on_ddl();
CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE away (v int) SERVER far;
CREATE TABLE twice (id int PRIMARY KEY, j json); INSERT INTO twice VALUES (1, '{"a": 1, "a": 2}');
"""
KEPT = (
    "ALTER TABLE meant ALTER id TYPE text, ALTER ip TYPE inet USING ip::inet, ALTER ok TYPE boolean USING ok::boolean, ALTER u TYPE uuid USING u::uuid",
    "ALTER TABLE local ALTER at TYPE timestamptz",
    "ALTER TYPE state RENAME VALUE 'on' TO 'running'",
    "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    "ALTER TABLE parts DETACH PARTITION parts_1",
)
LOST = {
    "DROP SEQUENCE numbers": "sequence numbers",
    "SELECT setval('other', 3)": "other",
    "REVOKE INSERT ON held FROM pg_monitor": "grant INSERT ON held TO pg_monitor",
    "DROP RULE quiet ON told": "rule quiet",
    "DROP PUBLICATION papers": "publication papers",
    "DROP EVENT TRIGGER watching": "event trigger watching",
    "DROP TEXT SEARCH CONFIGURATION plain": "text search configuration plain",
    "DROP FOREIGN TABLE away": "foreign table away",
    "ALTER TABLE held DISABLE ROW LEVEL SECURITY": "row level security on held",
    "CREATE OR REPLACE VIEW seen AS SELECT id FROM held WHERE id > 1": "view seen",
    "ALTER TABLE twice ALTER j TYPE jsonb": "twice",
    "ALTER TABLE zoned ALTER at TYPE timestamptz USING at AT TIME ZONE 'UTC'": "zoned",
    "DELETE FROM parts WHERE id = 2": "parts",
}


@pytest.fixture
def shop(pg: Rich, stocked_server: Rich) -> Rich:
    pg.stock(stocked_server)
    pg.psql(FIRST)
    pg.psql(f"ALTER DATABASE {pg.name} SET TimeZone TO 'Europe/Berlin'")
    return pg


@pytest.mark.more
def test_a_migration_names_what_is_lost_and_nothing_else(shop: Rich) -> None:
    shop.revise(*(f"op.execute({sql!r})" for sql in KEPT))
    for command in ("rehearse", "migrate"):
        done = shop.undrop(command)
        assert (done.code, "lost" in done.err, "warning" in done.err) == (0, False, False), done
    assert shop.sql("SELECT count(*) FROM parts") == [(3,)]
    shop.psql("UPDATE alembic_version SET version_num = '0006'")
    before = shop.exactly()
    shop.revise(*(f"op.execute({sql!r})" for sql in LOST))
    done = shop.undrop("migrate")
    assert done.code == 4, done
    assert [name for name in LOST.values() if name not in done.err] == [], done.err
    assert shop.exactly() == before
    assert shop.undrop("migrate", "--accept-loss").code == 0
    shop.ok("undrop", "undo")
    assert shop.exactly() == before


@pytest.mark.more
def test_a_command_s_losses_are_named(shop: Rich) -> None:
    kept = shown(shop, *shop.client("; ".join(KEPT)))
    assert (
        "the command changed table local defined anew; table meant defined anew; type state defined anew\n"
        in kept
    )
    lost = shown(shop, *shop.client("; ".join(LOST)))
    [line] = [line for line in lost.splitlines() if "the command changed" in line]
    assert [name for name in LOST.values() if name not in line] == [], line
    told = shop.undrop("diff").err
    assert "grant INSERT ON held TO pg_monitor gone" in told
    assert "publication papers gone" in told
