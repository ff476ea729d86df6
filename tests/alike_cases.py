"""The migrations that ``alike.py`` runs both ways, each with the project that it needs."""

from pathlib import Path
from textwrap import dedent, indent
from typing import NamedTuple

DATABASE = "app.db"

ENV = """
from sqlalchemy import engine_from_config, event, pool
from alembic import context
config = context.config
engine = engine_from_config(config.get_section(config.config_ini_section), poolclass=pool.NullPool)
{before}
with engine.connect() as connection:
    context.configure(connection=connection, {options})
    with context.begin_transaction():
        context.run_migrations()
"""
"""As ``alembic init`` writes it, but for what is asked offline."""
ASYNC = """
import asyncio
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import async_engine_from_config
from alembic import context
config = context.config
def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
async def main():
    section = config.get_section(config.config_ini_section)
    engine = async_engine_from_config(section, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()
asyncio.run(main())
"""
OURS = """
from alembic import context
from sqlalchemy import create_engine
from undrop.alembic import backup_before, database_url, transactional_ddl
backup_before(context)
engine = create_engine(database_url(context))
transactional_ddl(engine)
with engine.connect() as connection:
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
"""
OWN = """
import os
from sqlalchemy import create_engine, event
from alembic import context
engine = create_engine(os.environ.get("APP_URL", "sqlite:///app.db"), connect_args={"timeout": 30})
@event.listens_for(engine, "connect")
def pragmas(connection, _):
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -2000")
with engine.begin() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REAL = """
@event.listens_for(engine, "connect")
def connected(dbapi_connection, _):
    dbapi_connection.isolation_level = None
@event.listens_for(engine, "begin")
def begun(connection):
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN")
"""
"""What SQLAlchemy's documents advise for SQLite, so that CREATE and DROP can be rolled back."""
KEYS = """
@event.listens_for(engine, "connect")
def connected(dbapi_connection, _):
    dbapi_connection.execute("PRAGMA foreign_keys = ON")
"""

SHOP = """
CREATE TABLE makers (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    maker INTEGER REFERENCES makers (id) ON DELETE CASCADE,
    name VARCHAR(40) NOT NULL,
    price NUMERIC(8, 2),
    made DATE,
    more JSON
);
CREATE INDEX ix_items_name ON items (name);
INSERT INTO makers VALUES (1, 'Müller'), (2, 'O''Neil'), (3, 'no items');
INSERT INTO items VALUES
    (1, 1, 'nut', 0.5, '2024-01-31', '{"colour": "red", "tags": [1, 2]}'),
    (2, 1, 'bolt', 12, NULL, NULL),
    (7, 2, '', NULL, '1999-12-31', '{}'),
    (9, NULL, '螺丝', -1.25, 'not a date', 'null');
"""


class Revision(NamedTuple):
    """A migration's file."""

    up: str
    """Statements of Python; or SQL, each statement of it one line that ends with a semicolon."""
    down: str = "pass"
    id: str = "0001"
    after: str = "None"
    """``down_revision``, in Python."""
    head: str = ""
    """What else stands in the module."""

    def text(self) -> str:
        return (
            "import sqlalchemy as sa\nfrom alembic import context, op\n"
            f"revision, down_revision = {self.id!r}, {self.after}\n{dedent(self.head)}\n"
            f"def upgrade():\n{_body(self.up)}\ndef downgrade():\n{_body(self.down)}\n"
        )


def _body(code: str) -> str:
    code = dedent(code).strip()
    if code.endswith(";"):
        code = "\n".join(f"op.execute({line[:-1]!r})" for line in code.splitlines() if line)
    return indent(code, "    ")


class Case(NamedTuple):
    """A project, what is typed in it, and why it must end otherwise through undrop, if it must."""

    what: str
    revisions: tuple[Revision, ...]
    legs: tuple[str, ...] = ("upgrade head", "downgrade base")
    """Words for ``alembic``; those for ``upgrade`` and ``downgrade`` are for ``undrop migrate``."""
    setup: str = SHOP
    options: str = ""
    before: str = ""
    env: str = ENV
    url: str = f"sqlite:///{DATABASE}"
    ini: str = ""
    other: str = ""
    """A second database, ``other.db``."""
    fails: bool = False
    """Whether the last leg does, in both."""
    why: str = ""
    anew: tuple[str, ...] = ()
    """Columns, as ``table.column``, whose values rightly differ: which of them are NULL counts."""
    needs: str = ""
    """An extension that the server must have."""

    def lay(self, root: Path) -> None:
        """Its project, without the database."""
        versions, more = root / "alembic/versions", root / "more"
        versions.mkdir(parents=True)
        more.mkdir()
        for number, revision in enumerate(self.revisions):
            far = "version_locations" in self.ini and number
            (more if far else versions).joinpath(f"{revision.id}_.py").write_text(revision.text())
        (root / "alembic/env.py").write_text(
            self.env.format(before=self.before, options=self.options)
            if self.env is ENV or "{options}" in self.env
            else self.env
        )
        (root / "alembic.ini").write_text(
            "[alembic]\nscript_location = %(here)s/alembic\n"
            f"sqlalchemy.url = {self.url}\n{self.ini}\n"
        )
        (root / "pyproject.toml").write_text(
            f'[tool.undrop]\nurl = "{self.url}"\nurl-variable = "APP_URL"\n'
        )


def _chain(*ups: str) -> tuple[Revision, ...]:
    """Revisions in a row, each of which makes a table, or is what is given."""
    made = []
    for number, up in enumerate(ups, 1):
        name = f"{number:04}"
        after = repr(f"{number - 1:04}") if number > 1 else "None"
        table = f"CREATE TABLE t{number} (v);"
        down = f"DROP TABLE t{number};" if not up else "pass"
        made.append(Revision(up or table, down, name, after))
    return tuple(made)


def _table(name: str, after: str = "None", head: str = "") -> Revision:
    """A revision that makes the table of its name."""
    return Revision(f"CREATE TABLE {name} (v);", f"DROP TABLE {name};", name, after, head)


def _label(name: str) -> str:
    return f"branch_labels = ({name!r},)"


BRANCHES = (
    _table("a1", head=_label("A")),
    _table("a2", "'a1'", "depends_on = 'b1'"),
    _table("a3", "'a2'"),
    _table("b1", head=_label("B")),
    _table("b2", "'b1'"),
)
MERGED = (
    _table("root"),
    _table("left", "'root'"),
    _table("right", "'root'"),
    _table("both", "('left', 'right')"),
)
BATCH = "with op.batch_alter_table('items'{}) as batch:\n    batch.{}"
NAMED = ", naming_convention={'uq': 'uq_%(table_name)s_%(column_0_name)s'}"
AUTOCOMMIT = "with op.get_context().autocommit_block():\n    op.execute({!r})"


def _batch(up: str, down: str, options: str = "") -> tuple[Revision, ...]:
    return (Revision(BATCH.format(options, up), BATCH.format(options, down)),)


def _sql(up: str, down: str = "pass") -> tuple[Revision, ...]:
    return (Revision(up, down),)


def _outside(up: str, down: str) -> tuple[Revision, ...]:
    """Statements that no transaction may hold."""
    return (Revision(AUTOCOMMIT.format(up), AUTOCOMMIT.format(down)),)


CASES = [
    # Definitions.
    Case(
        "a table, a column with a default",
        _sql(
            """
        op.create_table('kinds', sa.Column('id', sa.Integer, primary_key=True),
                        sa.Column('name', sa.String(9), nullable=False, comment='kept by Python'))
        op.add_column('items', sa.Column('kind', sa.Integer, server_default='7', nullable=False))
        """,
            "op.drop_table('kinds')\n" + BATCH.format("", "drop_column('kind')"),
        ),
    ),
    Case(
        "a table renamed, an index with it",
        _sql(
            """
        op.drop_index('ix_items_name')
        op.rename_table('items', 'goods')
        op.create_index('ix_goods_name', 'goods', ['name'])
        """,
            """
        op.drop_index('ix_goods_name')
        op.rename_table('goods', 'items')
        op.create_index('ix_items_name', 'items', ['name'])
        """,
        ),
    ),
    Case(
        "ALTER TABLE: column added, renamed, dropped",
        _sql(
            """
        ALTER TABLE items ADD COLUMN note TEXT DEFAULT 'none';
        ALTER TABLE items RENAME COLUMN price TO cost;
        ALTER TABLE items DROP COLUMN made;
        """,
            """
        ALTER TABLE items ADD COLUMN made DATE;
        ALTER TABLE items RENAME COLUMN cost TO price;
        ALTER TABLE items DROP COLUMN note;
        """,
        ),
    ),
    Case(
        "batch: another type",
        _batch(
            "alter_column('price', type_=sa.Float())",
            "alter_column('price', type_=sa.Numeric(8, 2))",
        ),
    ),
    Case(
        "batch: NOT NULL and a default",
        _batch(
            "alter_column('price', nullable=False, existing_type=sa.Float(), server_default='0')",
            "alter_column('price', nullable=True, existing_type=sa.Float(), server_default=None)",
        ),
        setup=SHOP + "UPDATE items SET price = 0 WHERE price IS NULL;",
    ),
    Case(
        "batch: column dropped",
        _batch("drop_column('made')", "add_column(sa.Column('made', sa.Date))"),
    ),
    Case(
        "batch: column renamed",
        _batch(
            "alter_column('name', new_column_name='title', existing_type=sa.String(40))",
            "alter_column('title', new_column_name='name', existing_type=sa.String(40))",
        ),
    ),
    Case(
        "batch: unique by naming convention",
        _batch(
            "create_unique_constraint('uq_items_name', ['name'])",
            "drop_constraint('uq_items_name', type_='unique')",
        ),
    ),
    Case(
        "batch: an unnamed unique dropped by naming convention",
        (
            Revision(
                f"with op.batch_alter_table('makers'{NAMED}) as batch:\n"
                "    batch.drop_constraint('uq_makers_name', type_='unique')",
                "with op.batch_alter_table('makers') as batch:\n"
                "    batch.create_unique_constraint('uq_makers_name', ['name'])",
            ),
        ),
    ),
    Case(
        "batch: a foreign key added and dropped",
        _batch(
            "create_foreign_key('fk_again', 'makers', ['id'], ['id'])",
            "drop_constraint('fk_again', type_='foreignkey')",
        ),
        setup=SHOP.replace("(7,", "(3,").replace("(9,", "(4,") + "DELETE FROM items WHERE id = 4;",
    ),
    Case(
        "batch: recreated always, columns in another order",
        _batch(
            "add_column(sa.Column('kind', sa.Text), insert_after='id')",
            "drop_column('kind')",
            ", recreate='always'",
        ),
    ),
    Case(
        "batch with foreign keys on: children go by ON DELETE CASCADE",
        (
            Revision(
                "with op.batch_alter_table('makers', recreate='always') as batch:\n"
                "    batch.add_column(sa.Column('town', sa.Text))",
            ),
        ),
        before=KEYS,
    ),
    Case(
        "batch with foreign keys off for it",
        (
            Revision(
                "op.execute('PRAGMA foreign_keys = OFF')\n"
                "with op.batch_alter_table('makers', recreate='always') as batch:\n"
                "    batch.add_column(sa.Column('town', sa.Text))\n"
                "op.execute('PRAGMA foreign_keys = ON')",
            ),
        ),
        before=KEYS,
    ),
    Case(
        "batch of a table that a view needs: the way back fails",
        _batch("add_column(sa.Column('kind', sa.Text))", "drop_column('kind')"),
        setup=SHOP + "CREATE VIEW dear AS SELECT name FROM items;",
        before=REAL,
        options="transactional_ddl=True",
        fails=True,
    ),
    Case(
        "batch of a table that another's trigger needs: it fails",
        _batch("alter_column('price', type_=sa.Float())", "drop_column('price')"),
        ("upgrade head",),
        SHOP + "CREATE TRIGGER cheap AFTER INSERT ON makers BEGIN UPDATE items SET price = 0; END;",
        before=REAL,
        options="transactional_ddl=True",
        fails=True,
    ),
    Case(
        "batch of a table that a view needs, as SQLite's documents say",
        _sql(
            """
        op.execute('PRAGMA legacy_alter_table = ON')
        with op.batch_alter_table('items', recreate='always') as batch:
            batch.add_column(sa.Column('kind', sa.Text))
        op.execute('PRAGMA legacy_alter_table = OFF')
        """,
        ),
        setup=SHOP + "CREATE VIEW dear AS SELECT name FROM items;",
    ),
    Case(
        "an enum's CHECK made wider",
        _sql(
            """
        op.create_table('orders', sa.Column('id', sa.Integer, primary_key=True), sa.Column('state',
            sa.Enum('new', 'paid', name='state', create_constraint=True), nullable=False))
        op.execute("INSERT INTO orders VALUES (1, 'new'), (2, 'paid')")
        wider = sa.Enum('new', 'paid', 'sent', name='state', create_constraint=True)
        with op.batch_alter_table('orders') as batch:
            batch.alter_column('state', type_=wider, existing_type=sa.String(4))
        op.execute("UPDATE orders SET state = 'sent' WHERE id = 2")
        """,
            "op.drop_table('orders')",
        ),
    ),
    Case(
        "indexes: partial, on an expression, descending, NOCASE",
        _sql(
            """
        CREATE UNIQUE INDEX one ON items (name) WHERE price > 0;
        CREATE INDEX two ON items (lower(name), price DESC);
        CREATE INDEX three ON makers (name COLLATE NOCASE);
        """,
            "DROP INDEX one;\nDROP INDEX two;\nDROP INDEX three;",
        ),
    ),
    Case(
        "views, one on another",
        _sql(
            """
        CREATE VIEW dear AS SELECT * FROM items WHERE price > 1;
        CREATE VIEW dearest AS SELECT max(price) AS most FROM dear;
        """,
            "DROP VIEW dearest;\nDROP VIEW dear;",
        ),
    ),
    Case(
        "triggers, one INSTEAD OF, that run in the migration",
        _sql(
            """
        CREATE TABLE log (what, at INTEGER PRIMARY KEY);
        CREATE VIEW names AS SELECT id, name FROM items;
        CREATE TRIGGER t AFTER UPDATE ON items BEGIN INSERT INTO log (what) VALUES (old.name); END;
        CREATE TRIGGER v INSTEAD OF DELETE ON names BEGIN DELETE FROM items WHERE id = old.id; END;
        UPDATE items SET price = 3;
        DELETE FROM names WHERE id = 7;
        """,
            "DROP TRIGGER v;\nDROP TRIGGER t;\nDROP VIEW names;\nDROP TABLE log;",
        ),
    ),
    Case(
        "FTS5 with triggers, filled and searched",
        _sql(
            """
        CREATE VIRTUAL TABLE search USING fts5(name, content='items', content_rowid='id');
        INSERT INTO search (rowid, name) SELECT id, name FROM items;
        CREATE TRIGGER s AFTER INSERT ON items BEGIN INSERT INTO search (rowid, name) VALUES (new.id, new.name); END;
        INSERT INTO items (id, name) SELECT 100, 'found ' || count(*) FROM search WHERE search MATCH 'bolt';
        """,
            "DROP TRIGGER s;\nDROP TABLE search;\nDELETE FROM items WHERE id = 100;",
        ),
    ),
    Case(
        "FTS5 rebuilt and optimized",
        _sql(
            "INSERT INTO search (search) VALUES ('rebuild');\nINSERT INTO search (search) VALUES ('optimize');"
        ),
        setup=SHOP
        + "CREATE VIRTUAL TABLE search USING fts5(name); INSERT INTO search VALUES ('a b'), ('c');",
    ),
    Case(
        "R*Tree",
        _sql(
            """
        CREATE VIRTUAL TABLE places USING rtree(id, x0, x1, y0, y1);
        INSERT INTO places SELECT id, id, id + 1, id * 2, id * 2 + 1 FROM items;
        DELETE FROM places WHERE x0 > 8;
        """,
            "DROP TABLE places;",
        ),
    ),
    Case(
        "generated columns, stored and virtual",
        _sql(
            """
        CREATE TABLE sums (a INT, b INT, c INT AS (a + b) STORED, d TEXT AS (a || '-' || b));
        INSERT INTO sums (a, b) VALUES (1, 2), (NULL, 3);
        CREATE INDEX by_d ON sums (d);
        op
        """.replace("op\n", ""),
            "DROP TABLE sums;",
        ),
    ),
    Case(
        "STRICT and WITHOUT ROWID tables",
        _sql(
            """
        CREATE TABLE firm (id INTEGER PRIMARY KEY, n REAL, v ANY) STRICT;
        INSERT INTO firm VALUES (1, 2, x'00ff'), (2, 0.5, 'text');
        CREATE TABLE pairs (a TEXT, b TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID;
        INSERT INTO pairs VALUES ('x', 'y'), ('y', 'x');
        """,
            "DROP TABLE firm;\nDROP TABLE pairs;",
        ),
    ),
    Case(
        "AUTOINCREMENT and its sequence",
        _sql(
            """
        CREATE TABLE bills (id INTEGER PRIMARY KEY AUTOINCREMENT, v);
        INSERT INTO bills (v) VALUES (1), (2), (3);
        DELETE FROM bills WHERE id > 1;
        UPDATE sqlite_sequence SET seq = 1000 WHERE name = 'bills';
        INSERT INTO bills (v) VALUES (4);
        """,
            "DROP TABLE bills;",
        ),
    ),
    Case(
        "names that are not ASCII, or are SQL's own words",
        _sql(
            """
        CREATE TABLE "größe und maß" ("préis" REAL, "名" TEXT, "select" INT);
        INSERT INTO "größe und maß" VALUES (1.5, '螺丝', 3);
        CREATE TABLE "order" ("group" INTEGER PRIMARY KEY, "it's" TEXT);
        CREATE INDEX "ix größe" ON "größe und maß" ("名");
        """,
            'DROP TABLE "order";\nDROP TABLE "größe und maß";',
        ),
    ),
    Case(
        "two hundred tables",
        _sql(
            "for n in range(200):\n    op.create_table(f't{n}', sa.Column('id', sa.Integer, primary_key=True))",
            "for n in range(200):\n    op.drop_table(f't{n}')",
        ),
    ),
    Case(
        "the schema edited through writable_schema",
        _sql(
            """
        PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql = replace(sql, 'VARCHAR(40)', 'VARCHAR(80)') WHERE name = 'items';
        PRAGMA writable_schema = RESET;
        """,
        ),
    ),
    Case(
        "nothing that was there: CREATE IF NOT EXISTS, DROP IF EXISTS",
        _sql("CREATE TABLE IF NOT EXISTS items (x);\nDROP TABLE IF EXISTS nowhere;"),
    ),
    Case(
        "what is asked of the database first (Inspector)",
        _sql(
            """
        inspector = sa.inspect(op.get_bind())
        if not inspector.has_table('kinds'):
            op.create_table('kinds', *[sa.Column(c['name'], c['type']) for c in inspector.get_columns('items')])
        """,
            "op.drop_table('kinds')",
        ),
    ),
    # Data.
    Case(
        "bulk_insert of 5,000 rows",
        _sql(
            """
        t = op.create_table('many', sa.Column('id', sa.Integer, primary_key=True), sa.Column('v', sa.Float))
        op.bulk_insert(t, [{'id': n, 'v': n / 7} for n in range(5000)])
        """,
            "op.drop_table('many')",
        ),
    ),
    Case(
        "an ORM session",
        (
            Revision(
                """
        session = Session(op.get_bind())
        for item in session.query(Item).order_by(Item.id):
            item.name = item.name.upper() + '!'
        session.add(Item(id=50, name='new'))
        session.delete(session.get(Item, 7))
        session.flush()
        session.commit()
        """,
                'op.execute("DELETE FROM items WHERE id = 50")',
                head="""
        from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
        class Base(DeclarativeBase): pass
        class Item(Base):
            __tablename__ = 'items'
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str]
        """,
            ),
        ),
    ),
    Case(
        "JSON rewritten in Python and in SQL",
        _sql(
            """
        import json
        t = sa.table('items', sa.column('id', sa.Integer), sa.column('more', sa.JSON))
        for row in op.get_bind().execute(sa.text("SELECT id, more FROM items WHERE more IS NOT NULL")).all():
            op.execute(t.update().where(t.c.id == row.id).values(more={'was': json.loads(row.more)}))
        op.execute("UPDATE items SET name = more ->> '$.was.colour' WHERE id = 1")
        """,
        ),
    ),
    Case(
        "dates and times as SQLAlchemy writes them",
        _sql(
            """
        import datetime
        t = op.create_table('days', sa.Column('d', sa.Date), sa.Column('t', sa.DateTime), sa.Column('i', sa.Interval))
        op.bulk_insert(t, [{'d': datetime.date(2024, 2, 29), 't': datetime.datetime(1, 1, 1, 2, 3, 4, 5),
                            'i': datetime.timedelta(days=3)}])
        """,
            "op.drop_table('days')",
        ),
    ),
    Case(
        "values at the edges: 64 bits, NUL in text, infinity, empty blobs",
        _sql(
            r"""
        op.execute("CREATE TABLE edges (v)")
        bind = op.get_bind()
        for value in [2**63 - 1, -(2**63), 'a\0b', float('inf'), -0.0, b'', b'\xff\0', '', None, 1e300]:
            bind.execute(sa.text("INSERT INTO edges VALUES (:v)"), {'v': value})
        """,
            "op.drop_table('edges')",
        ),
    ),
    Case(
        "blobs of two megabytes",
        _sql(
            "op.execute('CREATE TABLE blobs (v BLOB)')\n"
            "for n in range(3):\n"
            "    op.get_bind().execute(sa.text('INSERT INTO blobs VALUES (:v)'), {'v': bytes([n]) * 2_000_000})",
            "op.drop_table('blobs')",
        ),
    ),
    Case(
        "UPSERT, RETURNING, a recursive query, window functions",
        _sql(
            """
        INSERT INTO makers VALUES (1, 'new') ON CONFLICT (id) DO UPDATE SET name = excluded.name || '!';
        INSERT INTO makers (name) VALUES ('returned') RETURNING id;
        CREATE TABLE n AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 99) SELECT x, sum(x) OVER (ORDER BY x) AS s FROM c;
        """,
            "DROP TABLE n;",
        ),
    ),
    Case(
        "a table rebuilt by hand, as SQLite's documents say",
        _sql(
            """
        PRAGMA foreign_keys = OFF;
        CREATE TABLE items_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '', price REAL);
        INSERT INTO items_new SELECT id, name, price FROM items;
        DROP TABLE items;
        ALTER TABLE items_new RENAME TO items;
        CREATE INDEX ix_items_name ON items (name);
        PRAGMA foreign_key_check;
        """,
        ),
    ),
    Case(
        "a table emptied and filled from another",
        _sql(
            "CREATE TABLE kept AS SELECT * FROM items;\nDELETE FROM items;\nINSERT INTO items SELECT * FROM kept WHERE id > 1;",
            "DROP TABLE kept;",
        ),
    ),
    Case(
        "rows that come and go within one migration, rowids reused",
        _sql(
            "DELETE FROM makers WHERE id = 3;\nINSERT INTO makers (name) VALUES ('third');\nDELETE FROM items WHERE id = 9;"
        ),
    ),
    Case(
        "data and definitions mixed over four revisions",
        _chain(
            "",
            "INSERT INTO t1 VALUES (1), (2);",
            "ALTER TABLE t1 ADD COLUMN w;\nUPDATE t1 SET w = v * 2;",
            "",
        ),
        legs=("upgrade head",),
    ),
    # Connections and transactions.
    Case(
        "the driver's own connection: executescript",
        _sql(
            """
        raw = op.get_bind().connection.dbapi_connection
        raw.executescript("CREATE TABLE one (v); INSERT INTO one VALUES (1); CREATE TABLE two AS SELECT * FROM one;")
        """,
            "DROP TABLE one;\nDROP TABLE two;",
        ),
    ),
    Case(
        "the driver's own connection: functions and collations of Python",
        _sql(
            """
        raw = op.get_bind().connection.dbapi_connection
        raw.create_function('twice', 1, lambda v: v and v * 2, deterministic=True)
        raw.create_collation('backwards', lambda a, b: (a < b) - (a > b))
        op.execute("UPDATE items SET price = twice(price)")
        op.execute("CREATE TABLE sorted AS SELECT name FROM items ORDER BY name COLLATE backwards")
        """,
            "DROP TABLE sorted;",
        ),
    ),
    Case(
        "savepoints, one rolled back",
        _sql(
            """
        bind = op.get_bind()
        with bind.begin_nested():
            op.execute("INSERT INTO makers VALUES (20, 'kept')")
        try:
            with bind.begin_nested():
                op.execute("INSERT INTO makers VALUES (21, 'gone')")
                op.execute("INSERT INTO makers VALUES (1, 'taken')")
        except sa.exc.IntegrityError:
            op.execute("INSERT INTO makers VALUES (22, 'instead')")
        """,
            "DELETE FROM makers WHERE id >= 20;",
        ),
        before=REAL,
    ),
    Case(
        "temporary tables, views and triggers",
        _sql(
            """
        CREATE TEMP TABLE w AS SELECT id, name FROM items;
        CREATE TEMP TRIGGER tr AFTER INSERT ON makers BEGIN INSERT INTO w VALUES (new.id, 'by trigger'); END;
        INSERT INTO makers VALUES (30, 'x');
        CREATE TABLE after AS SELECT * FROM w;
        DROP TABLE w;
        """,
            "DROP TABLE after;",
        ),
    ),
    Case(
        "another database attached and read",
        _sql(
            """
        op.get_bind().commit() if False else None
        raw = op.get_bind().connection.dbapi_connection
        raw.execute("ATTACH 'file:other.db?mode=ro' AS other") if False else raw.execute("ATTACH 'other.db' AS other")
        raw.execute("CREATE TABLE rates AS SELECT * FROM other.rates")
        """.replace("        op.get_bind().commit() if False else None\n", "").replace(
                "raw.execute(\"ATTACH 'file:other.db?mode=ro' AS other\") if False else ", ""
            ),
            "DROP TABLE rates;",
        ),
        other="CREATE TABLE rates (c, r); INSERT INTO rates VALUES ('EUR', 1), ('USD', 1.1);",
    ),
    Case(
        "one transaction for each migration",
        _chain("", "", ""),
        options="transaction_per_migration=True",
    ),
    Case(
        "transactional DDL, as SQLAlchemy's documents advise",
        _chain("", "", ""),
        options="transactional_ddl=True",
        before=REAL,
    ),
    Case(
        "both of these",
        _chain("", "INSERT INTO t1 VALUES (1);", ""),
        before=REAL,
        options="transactional_ddl=True, transaction_per_migration=True",
    ),
    Case(
        "render_as_batch, compare_type and other options",
        _chain("", ""),
        options="render_as_batch=True, compare_type=True, user_module_prefix='x.', dialect_opts={}",
    ),
    Case(
        "on_version_apply writes a table of its own",
        (Revision("CREATE TABLE t (v);", "DROP TABLE t;"),),
        setup=SHOP + "CREATE TABLE applied (what);",
        options="on_version_apply=lambda ctx, step, heads, run_args: ctx.connection.exec_driver_sql("
        "f\"INSERT INTO applied VALUES ('{step.up_revision_id}, {min(heads, default=0)}')\")",
    ),
    Case(
        "an env.py with an engine and pragmas of its own",
        _chain("", "DELETE FROM makers WHERE id = 1;"),
        env=OWN,
    ),
    Case(
        "an env.py with undrop's lines, what no transaction may hold beside what one does",
        (
            Revision("CREATE TABLE t (v);\nINSERT INTO t VALUES (1);", "DROP TABLE t;"),
            *_chain("", AUTOCOMMIT.format("VACUUM") + "\nop.execute('INSERT INTO t VALUES (2)')")[
                1:
            ],
        ),
        env=OURS,
    ),
    Case(
        "an env.py with asyncio (aiosqlite)",
        _chain("", "INSERT INTO t1 VALUES (1);"),
        env=ASYNC,
        url=f"sqlite+aiosqlite:///{DATABASE}",
    ),
    Case(
        "an env.py with two MetaData, that it imports from the project",
        _chain("", ""),
        before="metadata = [sa.MetaData(), sa.MetaData()]\nsa.Table('t1', metadata[0])".replace(
            "sa.", "sqlalchemy."
        ).replace("metadata = [", "import sqlalchemy\nmetadata = ["),
        options="target_metadata=metadata",
    ),
    Case(
        "an env.py that commits by itself, without begin_transaction",
        _chain("", "INSERT INTO t1 VALUES (5);"),
        env=ENV.replace(
            "    with context.begin_transaction():\n        context.run_migrations()\n",
            "    context.run_migrations()\n    connection.commit()\n",
        ),
    ),
    Case(
        "migrations in two folders",
        (*_chain(""), Revision("CREATE TABLE far (v);", "DROP TABLE far;", "0002", "'0001'")),
        ini="version_locations = %(here)s/alembic/versions %(here)s/more\npath_separator = space",
    ),
    Case(
        "a migration that prints, logs and reads a file beside it",
        _sql(
            """
        import logging, pathlib
        print('printed'); logging.getLogger('alembic').info('logged')
        op.execute(f"CREATE TABLE named AS SELECT {pathlib.Path(__file__).stem!r} AS v")
        """,
            "DROP TABLE named;",
        ),
    ),
    # What is in the file's header, and what no transaction may hold.
    Case(
        "user_version and application_id",
        _sql(
            "PRAGMA user_version = 42;\nPRAGMA application_id = 1234;", "PRAGMA user_version = 0;"
        ),
    ),
    Case(
        "VACUUM in an autocommit_block",
        (
            Revision(
                "op.execute('DELETE FROM items')\n" + AUTOCOMMIT.format("VACUUM"),
                AUTOCOMMIT.format("VACUUM"),
            ),
        ),
    ),
    Case(
        "VACUUM, transactional DDL",
        _outside("VACUUM", "VACUUM"),
        before=REAL,
        options="transactional_ddl=True",
    ),
    Case(
        "auto_vacuum switched on by a VACUUM",
        (
            Revision(
                "with op.get_context().autocommit_block():\n"
                "    op.execute('PRAGMA auto_vacuum = FULL')\n    op.execute('VACUUM')"
            ),
        ),
    ),
    Case(
        "another page size by a VACUUM",
        (
            Revision(
                "with op.get_context().autocommit_block():\n"
                "    op.execute('PRAGMA page_size = 8192')\n    op.execute('VACUUM')"
            ),
        ),
    ),
    Case("ANALYZE and REINDEX", _sql("ANALYZE;\nREINDEX;\nPRAGMA optimize;")),
    Case(
        "a database in UTF-16",
        _chain("", "INSERT INTO t1 VALUES ('größe');"),
        setup="PRAGMA encoding = 'UTF-16le';" + SHOP,
    ),
    Case(
        "a database of pages of 512 bytes, auto_vacuum on",
        _chain("", "DELETE FROM items;"),
        setup="PRAGMA page_size = 512; PRAGMA auto_vacuum = FULL;" + SHOP,
    ),
    Case(
        "journal_mode WAL asked for, and DELETE on the way back",
        _outside("PRAGMA journal_mode = WAL", "PRAGMA journal_mode = DELETE"),
    ),
    Case(
        "journal_mode DELETE asked of a database in WAL mode, transactional DDL",
        _outside("PRAGMA journal_mode = DELETE", "PRAGMA journal_mode = WAL"),
        setup="PRAGMA journal_mode = WAL;" + SHOP,
        before=REAL,
        options="transactional_ddl=True",
    ),
    Case(
        "journal_mode asked for by env.py, for each connection",
        _chain("", ""),
        before=KEYS.replace("foreign_keys = ON", "journal_mode = WAL"),
    ),
    Case(
        "a database in WAL mode, which nobody asks about",
        _chain("", "INSERT INTO t1 VALUES (1);"),
        setup="PRAGMA journal_mode = WAL;" + SHOP,
    ),
    Case("no database at all yet", _chain("", ""), setup=""),
    # Revisions.
    Case("several heads: heads", BRANCHES, ("upgrade heads", "downgrade base")),
    Case("a branch by its label", BRANCHES, ("upgrade B@head", "upgrade A@+1", "downgrade B@base")),
    Case(
        "depends_on: up brings the other branch", BRANCHES, ("upgrade A@head", "downgrade A@base")
    ),
    Case(
        "depends_on: down to where another branch stands",
        BRANCHES,
        ("upgrade heads", "downgrade B@b1"),
    ),
    Case(
        "depends_on: below what another branch needs",
        BRANCHES,
        ("upgrade heads", "downgrade B@base"),
    ),
    Case(
        "a merge, up and down again", MERGED, ("upgrade head", "downgrade left", "downgrade base")
    ),
    Case(
        "a merge of heads that are there", MERGED, ("upgrade left", "upgrade right", "upgrade both")
    ),
    Case("relative: +2, -1, +1", _chain("", "", ""), ("upgrade +2", "downgrade -1", "upgrade +1")),
    Case(
        "relative to a revision: 0001+2, 0003-1",
        _chain("", "", ""),
        ("upgrade 0001+2", "downgrade 0003-1"),
    ),
    Case(
        "relative on a branch: B@+1, B@-1",
        BRANCHES,
        ("upgrade B@+1", "upgrade B@+1", "downgrade B@-1"),
    ),
    Case(
        "a part of a revision's name",
        (_table("ae1027a6acf"), _table("b1f2c3d4e5f", "'ae1027a6acf'")),
        ("upgrade ae10", "upgrade b1f2", "downgrade ae10"),
    ),
    Case("stamp, then upgrade", _chain("", "", ""), ("stamp 0001", "upgrade head")),
    Case(
        "a squash: stamp --purge, then upgrade",
        _chain("", ""),
        ("stamp --purge 0001", "upgrade head"),
        setup=SHOP + "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);"
        "INSERT INTO alembic_version VALUES ('squashed away');",
    ),
    # The version table.
    Case(
        "the version table of another name",
        _chain("", ""),
        options="version_table='schema_history'",
    ),
    Case(
        "the version table without a primary key", _chain("", ""), options="version_table_pk=False"
    ),
    Case(
        "version_num TEXT, revisions of 60 characters",
        (_table("a" * 60), _table("b" * 60, repr("a" * 60))),
        setup=SHOP + "CREATE TABLE alembic_version (version_num TEXT PRIMARY KEY);",
    ),
    Case(
        "version_num CHAR(8), with a column beside it",
        _chain("", ""),
        ("upgrade 0001", "upgrade head", "downgrade base"),
        setup=SHOP + "CREATE TABLE alembic_version (version_num CHAR(8), at TEXT DEFAULT 'then');",
    ),
    Case(
        "ALEMBIC_VERSION, of another tool, in capitals",
        _chain("", ""),
        setup=SHOP + "CREATE TABLE ALEMBIC_VERSION (VERSION_NUM VARCHAR2(32));",
    ),
    # What fails in both.
    Case(
        "a migration that raises, transactional DDL",
        _chain("", "INSERT INTO t1 VALUES (1);\nINSERT INTO t1 SELECT nothing;"),
        ("upgrade head",),
        before=REAL,
        options="transactional_ddl=True",
        fails=True,
    ),
    Case(
        "a way back that there is not",
        (Revision("CREATE TABLE t (v);", "raise NotImplementedError('no way back')"),),
        fails=True,
    ),
    Case(
        "a revision that there is not", _chain(""), ("upgrade head", "upgrade nosuch"), fails=True
    ),
    Case("head, where there are several", BRANCHES, ("upgrade a1", "upgrade head"), fails=True),
    Case(
        "further down than there is", _chain("", ""), ("upgrade head", "downgrade -9"), fails=True
    ),
    Case(
        "a database at a revision that the code does not have",
        _chain(""),
        ("upgrade head",),
        fails=True,
        setup=SHOP
        + "CREATE TABLE alembic_version (version_num VARCHAR(32)); INSERT INTO alembic_version VALUES ('elsewhere');",
    ),
    # What must not be alike.
    Case(
        "half a migration, and then it raises",
        _chain("", "CREATE TABLE half (v);\nINSERT INTO nothing VALUES (1);"),
        ("upgrade head",),
        fails=True,
        why="Alembic alone leaves the half that ran; live is untouched here",
    ),
    Case(
        "another database written to",
        _sql(
            """
        raw = op.get_bind().connection.dbapi_connection
        raw.execute("ATTACH 'other.db' AS other")
        raw.execute("INSERT INTO other.rates VALUES ('GBP', 0.9)")
        """,
        ),
        ("upgrade head",),
        other="CREATE TABLE rates (c, r);",
        why="the fence: no backup holds that one",
    ),
    Case(
        "rows that point nowhere afterwards",
        _sql("DELETE FROM makers WHERE id = 1;"),
        ("upgrade head",),
        why="a migration that breaks a foreign key stops",
    ),
]
