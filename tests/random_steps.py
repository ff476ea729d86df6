"""Random schemas with rows in them, a random step on one, and random writes of others since.

What is drawn comes from one ``random.Random``, which Hypothesis shrinks. A statement that the
database refuses is not done, and no mistake.
"""

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

Cell = tuple[object, object]
"""``typeof`` and the value; text as its bytes."""
Row = dict[str, Cell]
Rows = dict[object, Row]
"""By key; where there is none, by a row's cells and its how-manieth."""
Picture = dict[str, Rows]
"""Every table's."""

NAMES = ["n", "does", "d0", "o0", "i0", "k", "kind", "c0", "b", "t", "o", "x", "r", "times"]
NAMES += [
    "goes",
    "na ïve",
    'qu"ote',
    "it's",
    "select",
    "Name",
    "oid",
    "id",
    "number",
    "place",
    "seq",
]
TEXTS: list[object] = [
    "a",
    "A",
    "a ",
    "b",
    "B",
    "",
    "1",
    "01",
    "1.0",
    "ä",
    "Ä",
    "𝄞",
    "it's",
    'q"',
    "x\ny",
]
TEXTS += ["N\0L", "--", "%", "null", "a, b"]
NUMBERS: list[object] = [0, 1, -1, 2, 7, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)]
REALS: list[object] = [0.5, -0.25, 1e17, 0.1 + 0.2, float("inf"), -float("inf"), 1.0, 5e-324]
BLOBS: list[object] = [b"", b"\0", b"a", b"\xff\xfe", b"it's", b"z" * 700]
POOLS = {"INTEGER": NUMBERS, "INT": NUMBERS, "TEXT": TEXTS, "REAL": REALS, "BLOB": BLOBS}
TYPES = ["INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "", "VARCHAR(9)", "DATETIME"]
STRICT = ["INTEGER", "TEXT", "REAL", "BLOB", "ANY", "INT"]
ALIKE: list[object] = [1, 1.0, "1", "1.0", b"1", "01", 0, 0.0, "", b"", "a", "A", "a ", b"a"]
ACTIONS = ["", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON DELETE CASCADE ON UPDATE CASCADE"]
ACTIONS += [" DEFERRABLE INITIALLY DEFERRED", " ON DELETE SET NULL ON UPDATE CASCADE"]


def q(name: str) -> str:
    """Quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


class Column(NamedTuple):
    """A column of a random table."""

    name: str
    type: str
    says: str = ""
    """Its constraints."""
    computed: bool = False
    parent: str = ""
    """The table that it points to."""


class Table(NamedTuple):
    """A random table; its key comes first."""

    name: str
    kind: str
    """A key of KINDS, ``fts5`` or ``index``."""
    key: int
    """How many columns are in the key."""
    columns: tuple[Column, ...]
    tail: tuple[str, ...] = ()
    """Constraints of the table."""
    options: str = ""

    @property
    def data(self) -> list[Column]:
        """What can be written."""
        return [column for column in self.columns if not column.computed]

    @property
    def full_text(self) -> bool:
        return self.kind == "fts5"

    @property
    def has_rowid(self) -> bool:
        return "WITHOUT ROWID" not in self.options

    @property
    def rowid(self) -> str:
        """A name that no column hides."""
        taken = {column.name.lower() for column in self.columns}
        return next(name for name in ("rowid", "_rowid_", "oid") if name not in taken)

    def create(self, name: str = "") -> str:
        """Its definition."""
        if self.full_text:
            names = ", ".join(q(column.name) for column in self.columns)
            return f"CREATE VIRTUAL TABLE {q(name or self.name)} USING fts5({names})"
        lines = [f"{q(c.name)} {c.type} {c.says}".strip() for c in self.columns]
        options = f" {self.options}" if self.options else ""
        return f"CREATE TABLE {q(name or self.name)} ({', '.join([*lines, *self.tail])}){options}"


class Write(NamedTuple):
    """A change of a row."""

    table: Table
    verb: str
    cells: dict[str, object]
    where: dict[str, object] = {}  # noqa: RUF012 - nobody writes to it

    def sql(self, names: "Names | None" = None) -> tuple[str, list[object]]:
        """As a statement and its values, with the names that all had before."""
        table, called = self.table, names.columns if names else {}
        of = q(names.before if names else table.name)
        cells = {
            called.get(name, name): value
            for name, value in self.cells.items()
            if not names or name in called or name == table.rowid
        }
        where = {called.get(name, name): value for name, value in self.where.items()}
        exact = "" if table.kind in {"integer", "counted"} else " COLLATE BINARY"
        told = " AND ".join(
            f"{name if name == table.rowid else q(name)} = ?{exact}" for name in where
        )
        values = [*cells.values(), *where.values()]
        if self.verb.startswith("INSERT"):
            listed = ", ".join(name if name == table.rowid else q(name) for name in cells)
            marks = ", ".join("?" * len(cells))
            if not cells:
                return f"{self.verb} {of} DEFAULT VALUES", []
            return f"{self.verb} {of} ({listed}) VALUES ({marks})", values
        if self.verb == "UPDATE":
            return (
                f"UPDATE {of} SET {', '.join(f'{q(name)} = ?' for name in cells)} WHERE {told}",
                values,
            )
        return f"DELETE FROM {of} WHERE {told}", values


class Names(NamedTuple):
    """What a table and its columns were called before a step."""

    table: Table
    """As it is now."""
    before: str
    columns: dict[str, str]
    """By what they are called now; new ones are left out."""


def default_of(declared: str) -> str:
    """A default for a column of that type."""
    if declared == "BLOB":
        return "x'6162'"
    return "'d'" if declared in {"TEXT", "VARCHAR(9)"} else "5"


KINDS = {
    "integer": (("INTEGER", "PRIMARY KEY"),),
    "counted": (("INTEGER", "PRIMARY KEY AUTOINCREMENT"),),
    "text": (("TEXT", "PRIMARY KEY"),),
    "required": (("TEXT", "NOT NULL PRIMARY KEY"),),
    "nocase": (("TEXT", "PRIMARY KEY COLLATE NOCASE"),),
    "descending": (("INTEGER", "PRIMARY KEY DESC"),),
    "int": (("INT", "PRIMARY KEY"),),
    "blob": (("BLOB", "PRIMARY KEY"),),
    "composite": (("INTEGER", ""), ("TEXT", "COLLATE NOCASE")),
    "pair": (("TEXT", "NOT NULL"), ("INTEGER", "NOT NULL")),
    "none": (),
}
CAN_LACK_ROWID = {"text", "required", "nocase", "int", "blob", "composite", "pair", "integer"}


class Maker:
    """A random database, and what is done to it."""

    def __init__(self, rnd: random.Random, path: Path) -> None:
        self.rnd = rnd
        self.path = path
        self.wide = False
        """Whether its texts are UTF-16."""
        self.tables: list[Table] = []
        self.logs: set[str] = set()
        """Tables that triggers alone write to, a row more each time."""
        self.indexes: list[str] = []
        """Full-text indexes of other tables' text."""
        self.counted = 0

    def chance(self, of: float) -> bool:
        return self.rnd.random() < of

    def fresh(self) -> str:
        """A name that nothing has."""
        return self.plain() if self.chance(0.6) else self.rnd.choice(NAMES) + self.plain()[1:]

    def plain(self) -> str:
        """One that needs no quotes."""
        self.counted += 1
        return f"n{self.counted}"

    def make(self) -> None:
        """The database: its schema and some rows."""
        with opened(self.path) as connection:
            connection.execute(f"PRAGMA page_size = {self.rnd.choice([512, 1024, 4096])}")
            self.wide, vacuum = self.chance(0.1), self.chance(0.3)
            connection.execute(f"PRAGMA encoding = '{'UTF-16' if self.wide else 'UTF-8'}'")
            connection.execute(f"PRAGMA auto_vacuum = {'FULL' if vacuum else 'NONE'}")
            self._schema(connection)
            connection.execute("PRAGMA foreign_keys = ON")
            for table in self.tables:
                for _ in range(self.rnd.randint(0, 8)):
                    attempt(connection, *self.insert(table).sql())
            if self.chance(0.5):  # many pages and few rows
                connection.execute("CREATE TABLE padding (b BLOB)")
                connection.execute("INSERT INTO padding VALUES (zeroblob(400000))")
            if self.chance(0.2):
                connection.execute("ANALYZE")
            connection.execute(f"PRAGMA user_version = {self.rnd.choice([0, 0, 3])}")

    def _schema(self, connection: sqlite3.Connection) -> None:
        for _ in range(self.rnd.randint(1, 3)):
            self.add(connection, self.table())
        if self.chance(0.25):
            self.add(connection, self.text_table())
        if self.chance(0.3):
            self._index_text(connection)
        if self.chance(0.3):
            self._log(connection)
        if self.chance(0.3):
            self._tally(connection)
        for table in self.tables:
            self.index(connection, table)

    def add(self, connection: sqlite3.Connection, table: Table) -> None:
        connection.execute(table.create())
        self.tables.append(table)

    def table(self) -> Table:
        """A random one; it may point to those that there are."""
        kind = self.rnd.choice([*KINDS, "nocase", "composite"])
        strict = self.chance(0.2) and kind != "none"
        options = ["STRICT"] * strict
        if kind in CAN_LACK_ROWID and self.chance(0.3):
            options.append("WITHOUT ROWID")
        name = self.fresh()
        key = [Column(self.fresh(), declared, says) for declared, says in KINDS[kind]]
        values = [self.column(strict=strict) for _ in range(self.rnd.randint(1, 4))]
        tail = []
        if len(key) > 1:
            tail.append(f"PRIMARY KEY ({', '.join(q(c.name) for c in key)})")
        if len(values) > 1 and self.chance(0.15):
            tail.append(f"UNIQUE ({', '.join(q(c.name) for c in values[:2])})")
        columns = [*key, *values]
        parents = [(t.name, t.columns[0]) for t in self.tables if t.key == 1]
        if not parents and len(key) == 1 and self.chance(0.3):
            parents = [(name, key[0])]
        if parents and self.chance(0.7):
            parent, of = self.rnd.choice(parents)
            column = Column(self.fresh(), of.type, parent=parent)
            columns.append(column)
            to = f"({q(of.name)})" if self.chance(0.7) else ""
            action = self.rnd.choice(ACTIONS)
            tail.append(f"FOREIGN KEY ({q(column.name)}) REFERENCES {q(parent)}{to}{action}")
        if self.chance(0.25):
            says = f"GENERATED ALWAYS AS ({q(self.rnd.choice(values).name)} || '!') "
            says += self.rnd.choice(["VIRTUAL", "STORED"])
            declared = "TEXT" if strict else self.rnd.choice(["TEXT", "INTEGER", ""])
            place = self.rnd.randint(len(key), len(columns))
            columns.insert(place, Column(self.fresh(), declared, says, computed=True))
        return Table(name, kind, len(key), tuple(columns), tuple(tail), ", ".join(options))

    def column(self, *, strict: bool) -> Column:
        """One that is in no key."""
        name = self.fresh()
        declared = self.rnd.choice(STRICT if strict else TYPES)
        default = default_of(declared)
        says = self.rnd.choice(
            [
                *("", "", "", "", "", "UNIQUE"),
                f"CHECK ({q(name)} IS NOT 7)",
                f"NOT NULL DEFAULT {default}",
                f"DEFAULT {default}",
                "COLLATE NOCASE" if declared in {"TEXT", ""} else "",
            ]
        )
        return Column(name, declared, says)

    def text_table(self) -> Table:
        columns = tuple(Column(self.fresh(), "") for _ in range(self.rnd.randint(1, 2)))
        return Table(self.fresh(), "fts5", 0, columns)

    def _index_text(self, connection: sqlite3.Connection) -> None:
        """A full-text index of a table's column, kept by triggers."""
        table = next((t for t in self.tables if t.kind in {"integer", "counted"}), None)
        if table is None:
            return
        column = next(c for c in table.columns[1:] if not c.computed)
        name, of, key = self.plain(), q(table.name), q(table.columns[0].name)
        if not table.has_rowid or " " in column.name or "'" in table.name:
            return
        text, raw = q(column.name), table.name.replace("'", "''")
        connection.execute(
            f"CREATE VIRTUAL TABLE {name} USING fts5({text}, content='{raw}', content_rowid={key})"
        )
        put = f"INSERT INTO {name}(rowid, {text}) VALUES (new.{key}, new.{text});"
        take = f"INSERT INTO {name}({name}, rowid, {text}) "
        take += f"VALUES ('delete', old.{key}, old.{text});"
        for event, body in (("INSERT", put), ("DELETE", take), ("UPDATE", take + put)):
            connection.execute(
                f"CREATE TRIGGER {name}_{event} AFTER {event} ON {of} BEGIN {body} END"
            )
        self.indexes.append(name)

    def _log(self, connection: sqlite3.Connection) -> None:
        """A table of what was done, which triggers write."""
        name = self.plain()
        key = self.rnd.choice(
            ["", "id INTEGER PRIMARY KEY,", "id INTEGER PRIMARY KEY AUTOINCREMENT,"]
        )
        connection.execute(f"CREATE TABLE {name} ({key} what TEXT, v)")
        self.logs.add(name)
        for table in self.tables:
            if not table.full_text and self.chance(0.6):
                event, side = self.rnd.choice(
                    [("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")]
                )
                column = q(table.columns[0].name)
                connection.execute(
                    f"CREATE TRIGGER {q(self.fresh())} AFTER {event} ON {q(table.name)} BEGIN "
                    f"INSERT INTO {name} (what, v) VALUES ('{event}', {side}.{column}); END"
                )

    def _tally(self, connection: sqlite3.Connection) -> None:
        """A column of a parent that counts its children, by a trigger."""
        for table in self.tables:
            for child in table.columns:
                parent = next((t for t in self.tables if t.name == child.parent), None)
                if parent is None or parent == table:
                    continue
                column = next((c for c in parent.data[1:] if c.type == "INTEGER"), None)
                if column is None or column.says or "STRICT" in parent.options:
                    continue
                key = q(parent.columns[0].name)
                connection.execute(
                    f"CREATE TRIGGER {q(self.fresh())} AFTER INSERT ON {q(table.name)} BEGIN "
                    f"UPDATE {q(parent.name)} SET {q(column.name)} = 1 + "
                    f"coalesce({q(column.name)}, 0) % 5 WHERE {key} = new.{q(child.name)}; END"
                )
                return

    def index(self, connection: sqlite3.Connection, table: Table) -> None:
        if table.full_text or not self.chance(0.3):
            return
        column = self.rnd.choice(table.columns)
        name = q(column.name)
        kinds = [f"({name})", f"({name} DESC)", f"({name} COLLATE NOCASE)"]
        if column.type != "REAL":  # of which SQLite 3.40 finds no whole number in such an index
            kinds.append(f"(typeof({name}))")
            if not self.wide:  # in UTF-16, it finds no BLOB in an index on this
                kinds.append(f"(json_valid({name}))")
        what = self.rnd.choice(kinds)
        where = f" WHERE {q(column.name)} IS NOT NULL" if self.chance(0.3) else ""
        unique = "UNIQUE " if self.chance(0.3) else ""
        attempt(
            connection, f"CREATE {unique}INDEX {q(self.fresh())} ON {q(table.name)} {what}{where}"
        )

    def value(self, column: Column, *, strict: bool) -> object:
        """A random value for it."""
        if self.chance(0.15):
            return None
        own = POOLS.get(column.type, ALIKE)
        if strict and column.type != "ANY":
            return self.rnd.choice(own)
        pools = [NUMBERS, TEXTS, REALS, BLOBS, *([own] * 5)]
        return self.rnd.choice(self.rnd.choice(pools))

    def key_value(self, column: Column) -> object:
        """A random value for a key; few, so that they meet."""
        rnd = self.rnd
        if column.type in {"INTEGER", "INT"}:
            return rnd.randint(1, 20) if rnd.random() < 0.95 else rnd.choice(NUMBERS)
        if column.type == "BLOB":
            return rnd.choice(BLOBS) if rnd.random() < 0.5 else bytes([rnd.randint(0, 20)])
        return rnd.choice(TEXTS) if rnd.random() < 0.5 else f"k{rnd.randint(1, 20)}"

    def cells(self, table: Table) -> dict[str, object]:
        """A whole random row."""
        strict = "STRICT" in table.options
        row: dict[str, object] = {}
        for at, column in enumerate(table.data):
            if at < table.key:
                value = self.key_value(column)
                if self.chance(0.08) and table.kind in {"text", "nocase", "composite"}:
                    value = None
            elif column.parent:
                value = self.key_value(column) if self.chance(0.8) else None
            elif table.full_text:
                value = " ".join(self.rnd.choices(["one", "two", "three", "ä", "it's"], k=2))
            else:
                value = self.value(column, strict=strict)
            row[column.name] = value
        if table.full_text:
            row["rowid"] = self.rnd.randint(1, 15)
        return row

    def insert(self, table: Table, or_: str = "") -> "Write":
        row = self.cells(table)
        for name in [c.name for c in table.data[table.key :] if "DEFAULT" in c.says]:
            if self.chance(0.4):
                del row[name]
        return Write(table, f"INSERT {or_}INTO", row)

    def where(self, connection: sqlite3.Connection, table: Table) -> dict[str, object] | None:
        """What tells one row that is there, by column."""
        names = [c.name for c in table.columns[: table.key]]
        if table.full_text or not names:
            names = [table.rowid]
        listed = ", ".join(name if name == table.rowid else q(name) for name in names)
        rows = [
            row
            for row in connection.execute(f"SELECT {listed} FROM {q(table.name)}")
            if all(map(is_text, row))
        ]
        if not rows:
            return None
        row = self.rnd.choice(sorted(rows, key=repr))
        if None in row and table.has_rowid:
            rowids = connection.execute(
                f"SELECT {table.rowid} FROM {q(table.name)} WHERE "
                + " AND ".join(f"{q(name)} IS ? COLLATE BINARY" for name in names),
                row,
            ).fetchall()
            return {table.rowid: self.rnd.choice(sorted(rowids))[0]}
        return dict(zip(names, row, strict=True))

    def write(self, connection: sqlite3.Connection, table: Table) -> "Write | None":
        """A random change of rows."""
        does = self.rnd.choice(["insert", "insert", "update", "update", "delete", "key", "replace"])
        if does == "insert":
            return self.insert(table)
        if does == "replace" and not table.full_text:
            return self.insert(table, "OR REPLACE ")
        if not (where := self.where(connection, table)):
            return None
        if does == "delete":
            return Write(table, "DELETE FROM", {}, where)
        row = self.cells(table)
        names = [column.name for column in table.data]
        if does == "key" and table.key:
            changed = names[: table.key]
        else:
            changed = self.rnd.sample(
                names[table.key :], self.rnd.randint(1, len(names) - table.key)
            )
        name = self.rnd.choice(changed)
        if self.chance(0.6 if name in names[: table.key] else 0.3):
            row[name] = self._alike(connection, Write(table, name, {}, where))
        return Write(table, "UPDATE", {name: row[name] for name in changed}, where)

    def _alike(self, connection: sqlite3.Connection, known: "Write") -> object:
        """What SQLite may take for the value that is there."""
        told, values = known.sql()
        _, _, where = told.partition(" WHERE ")
        of = q(known.table.name)
        sql = f"SELECT {q(known.verb)} FROM {of} WHERE {where}"
        [(value,)] = connection.execute(sql, values)
        match value:
            case int():
                return float(value) if abs(value) < 2**60 else str(value)
            case float():
                return str(value) if self.chance(0.5) or abs(value) > 2**60 else int(value)
            case str():
                kinds = [
                    value.swapcase(),
                    value.swapcase(),
                    f"{value} ",
                    value.encode("utf-8", "replace"),
                ]
                return self.rnd.choice([kind for kind in kinds if is_text(kind)])
            case bytes():
                return value.decode("latin-1")
        return ""

    def swap(self, connection: sqlite3.Connection, tables: list[Table]) -> None:
        """Two rows exchange what only one of them may have."""
        for table in tables:
            unique = [c for c in table.data[table.key :] if c.says == "UNIQUE"]
            if unique and table.has_rowid and not table.full_text:
                column, rowid = q(unique[0].name), table.rowid
                sql = f"SELECT {rowid}, {column} FROM {q(table.name)} ORDER BY 1 LIMIT 2"
                rows = connection.execute(sql).fetchall()
                if len(rows) == 2 and all(is_text(value) for _, value in rows):
                    (one, a), (two, b) = rows
                    update = f"UPDATE {q(table.name)} SET {column} = ? WHERE {rowid} = ?"
                    connection.execute("SAVEPOINT swapped")
                    try:
                        connection.execute(update, [None, one])
                        connection.execute(update, [a, two])
                        connection.execute(update, [b, one])
                    except sqlite3.Error:
                        connection.execute("ROLLBACK TO swapped")
                    connection.execute("RELEASE swapped")
                    return


def is_text(value: object) -> bool:
    """Whether it can be handed to SQLite as it came from there: no text that is no Unicode."""
    return not isinstance(value, str) or value == value.encode("utf-8", "replace").decode()


def attempt(connection: sqlite3.Connection, sql: str, values: object = ()) -> bool:
    """Run a statement; whether the database took it."""
    connection.execute("SAVEPOINT attempted")
    try:
        connection.execute(sql, values)  # type: ignore[arg-type]
        connection.execute("RELEASE attempted")
    except (sqlite3.IntegrityError, sqlite3.OperationalError) as error:
        if "syntax" in str(error) or "no such" in str(error):
            raise
        if connection.in_transaction:
            connection.execute("ROLLBACK TO attempted")
            connection.execute("RELEASE attempted")
        return False
    return True


def as_text(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The same, with text that is no Unicode taken as it comes."""
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    # Else what REPLACE takes away fires no trigger (sqlite.org/lang_conflict.html).
    connection.execute("PRAGMA recursive_triggers = ON")
    return connection


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield as_text(connection)


class Step:
    """A random step on a database: what it leaves, and what all was called before."""

    def __init__(self, maker: Maker) -> None:
        self.maker, self.rnd = maker, maker.rnd
        self.names = [
            Names(table, table.name, {c.name: c.name for c in table.columns})
            for table in maker.tables
        ]
        self.moved: set[str] = set()
        """Tables, by their names before, whose schema it changed."""
        self.new: list[str] = []

    def rows(self, connection: sqlite3.Connection) -> None:
        """Rows come, go and change."""
        connection.execute(f"PRAGMA foreign_keys = {self.rnd.choice(['ON', 'ON', 'OFF'])}")
        for _ in range(self.rnd.randint(1, 6)):
            if self.maker.chance(0.1):
                free = [n.table for n in self.names if n.before not in self.moved]
                self.maker.swap(connection, free)
                continue
            names = self.rnd.choice(self.names)
            if names.before not in self.moved:
                write = self.maker.write(connection, names.table)
                if write:
                    attempt(connection, *write.sql())
        if self.maker.chance(0.05):
            connection.execute("PRAGMA user_version = 5")

    def lose(self, connection: sqlite3.Connection) -> None:
        """Rows go, with all that points to them."""
        connection.execute("PRAGMA foreign_keys = ON")
        table = self.rnd.choice(self.names).table
        for _ in range(self.rnd.randint(1, 4)):
            if where := self.maker.where(connection, table):
                attempt(connection, *Write(table, "DELETE FROM", {}, where).sql())

    def schema(self, connection: sqlite3.Connection) -> None:
        """Tables, columns and more come, go and change; rows, too."""
        connection.execute("PRAGMA foreign_keys = OFF")
        todo = [self._rebuild] if self.maker.chance(0.3) else []
        kinds = [self._add, self._drop, self._column, self._table, self._gone, self._new]
        kinds += [self._part, self._add]
        for _ in range(self.rnd.randint(1, 3)):
            todo.append(self.rnd.choice(kinds))
        for change in todo:
            connection.execute("SAVEPOINT changed")
            known = [*self.names], {*self.moved}, [*self.new]
            try:
                change(connection)
            except (sqlite3.OperationalError, sqlite3.IntegrityError):
                connection.execute("ROLLBACK TO changed")
                self.names, self.moved, self.new = known
            connection.execute("RELEASE changed")
        if self.names and self.maker.chance(0.6):
            self.rows(connection)

    def _one(self) -> Names:
        free = [n for n in self.names if n.before not in self.moved and not n.table.full_text]
        if not free:
            raise sqlite3.OperationalError("none is left")
        names = self.rnd.choice(free)
        self.moved.add(names.before)
        return names

    def _now(self, names: Names, table: Table, columns: dict[str, str] | None = None) -> None:
        at = self.names.index(names)
        self.names[at] = Names(table, names.before, columns or names.columns)

    def _add(self, connection: sqlite3.Connection) -> None:
        names = self._one()
        table = names.table
        strict = "STRICT" in table.options
        column = Column(self.maker.fresh(), "TEXT" if strict else self.rnd.choice(TYPES))
        if self.maker.chance(0.4):
            column = column._replace(says=f"DEFAULT {default_of(column.type)}")
        of = q(table.name)
        connection.execute(
            f"ALTER TABLE {of} ADD COLUMN {q(column.name)} {column.type} {column.says}"
        )
        if self.maker.chance(0.5):
            value = f"'filled ' || {q(table.columns[0].name)}"
            connection.execute(f"UPDATE {of} SET {q(column.name)} = {value}")
        self._now(names, table._replace(columns=(*table.columns, column)))

    def _drop(self, connection: sqlite3.Connection) -> None:
        names = self._one()
        table = names.table
        self._require_unnamed(table)
        column = self.rnd.choice(table.columns[table.key :])
        connection.execute(f"ALTER TABLE {q(table.name)} DROP COLUMN {q(column.name)}")
        left = tuple(c for c in table.columns if c != column)
        if not [c for c in left[table.key :] if not c.computed]:
            raise sqlite3.OperationalError("nothing to write to is left")
        columns = {new: old for new, old in names.columns.items() if new != column.name}
        self._now(names, table._replace(columns=left), columns)

    def _column(self, connection: sqlite3.Connection) -> None:
        """A column has another name, and it is evident that it is that one."""
        names = self._one()
        table = names.table
        self._require_unnamed(table)
        at = self.rnd.choice([n for n, c in enumerate(table.columns) if not c.computed])
        old, new = table.columns[at], self.maker.fresh()
        self._require_evident(connection, table, old)
        connection.execute(f"ALTER TABLE {q(table.name)} RENAME COLUMN {q(old.name)} TO {q(new)}")
        columns = [*table.columns]
        columns[at] = old._replace(name=new)
        called = {n: o for n, o in names.columns.items() if n != old.name}
        called[new] = names.columns[old.name]
        self._now(names, table._replace(columns=tuple(columns)), called)

    def _require_unnamed(self, table: Table) -> None:
        if self.maker.indexes and table.kind in {"integer", "counted"}:
            raise sqlite3.OperationalError("an index of its text names it, and is not told")

    @staticmethod
    def _require_evident(connection: sqlite3.Connection, table: Table, column: Column) -> None:
        name = q(column.name)
        [(some,)] = connection.execute(
            f"SELECT count(DISTINCT CAST({name} AS BLOB)) FROM {q(table.name)} WHERE "
            f"{name} NOT IN ('', x'')"
        )
        if some < 2:
            raise sqlite3.OperationalError("it might be another one")

    def _table(self, connection: sqlite3.Connection) -> None:
        names = self._one()
        self._require_unnamed(names.table)
        new = self.maker.fresh()
        self._require_evident(connection, names.table, names.table.columns[0])
        connection.execute(f"ALTER TABLE {q(names.table.name)} RENAME TO {q(new)}")
        self._now(names, names.table._replace(name=new))

    def _rebuild(self, connection: sqlite3.Connection) -> None:
        """Built anew, with fewer constraints, and maybe its columns in another order."""
        names = self._one()
        table = names.table
        columns = [
            c._replace(says="") if c.says in {"UNIQUE"} or c.says.startswith("CHECK") else c
            for c in table.columns
        ]
        rest = columns[table.key :]
        if self.maker.chance(0.3):
            self.rnd.shuffle(rest)
        rebuilt = table._replace(columns=(*columns[: table.key], *rest))
        of = ", ".join(q(c.name) for c in rebuilt.data)
        connection.execute(rebuilt.create("rebuilt"))
        connection.execute(f"INSERT INTO rebuilt ({of}) SELECT {of} FROM {q(table.name)}")
        connection.execute(f"DROP TABLE {q(table.name)}")
        connection.execute(f"ALTER TABLE rebuilt RENAME TO {q(table.name)}")
        self._now(names, rebuilt)

    def _gone(self, connection: sqlite3.Connection) -> None:
        names = self._one()
        name = names.table.name
        if any(c.parent == names.before for n in self.names for c in n.table.columns):
            raise sqlite3.OperationalError("it is pointed to")
        if self.maker.indexes or len(self.names) == 1:
            raise sqlite3.OperationalError("its text may be indexed")
        connection.execute(f"DROP TABLE {q(name)}")
        self.names.remove(names)

    def _new(self, connection: sqlite3.Connection) -> None:
        name = self.maker.fresh()
        connection.execute(f"CREATE TABLE {q(name)} (id INTEGER PRIMARY KEY, v)")
        connection.execute(f"INSERT INTO {q(name)} (v) VALUES ('new'), (2)")

    def _part(self, connection: sqlite3.Connection) -> None:
        """An index, a trigger or a view comes or goes."""
        sql = (
            "SELECT type, name FROM sqlite_master WHERE type IN ('index', 'trigger') "
            "AND sql <> '' ORDER BY name"
        )
        keepers = tuple(f"{name}_" for name in self.maker.indexes)
        there = [
            part for part in connection.execute(sql).fetchall() if not part[1].startswith(keepers)
        ]
        if there and self.maker.chance(0.5):
            kind, name = self.rnd.choice(there)
            connection.execute(f"DROP {kind} {q(name)}")
            return
        table = self.rnd.choice(self.names).table
        name, column = q(self.maker.fresh()), q(table.columns[0].name)
        of = q(table.name)
        connection.execute(
            self.rnd.choice(
                [
                    f"CREATE INDEX {name} ON {of} ({column})",
                    f"CREATE VIEW {name} AS SELECT {column} FROM {of}",
                    f"CREATE TRIGGER {name} AFTER UPDATE ON {of} WHEN 0 BEGIN SELECT 1; END",
                ]
            )
        )


def picture(
    connection: sqlite3.Connection,
    names: list[Names],
    *,
    before: bool = False,
    computed: bool = True,
) -> Picture:
    """The rows of tables that a step left, by what all was called before it.

    ``before``: all is called so still. ``computed``: with the columns that nobody writes.
    """
    connection.text_factory = bytes
    try:
        return {
            each.before: _rows(connection, each, before=before, computed=computed) for each in names
        }
    finally:
        as_text(connection)


def _rows(connection: sqlite3.Connection, names: Names, *, before: bool, computed: bool) -> Rows:
    table = names.table
    left = {column.name for column in table.columns if computed or not column.computed}
    called = {old: new for new, old in names.columns.items() if new in left}
    listed = [*called] if before else [*called.values()]
    selected = ", ".join(f"typeof({q(name)}), {q(name)}" for name in listed)
    rowid = table.rowid if table.full_text else "0"
    of = q(names.before if before else table.name)
    keys = [names.columns[c.name] for c in table.columns[: table.key]]
    rows: Rows = {}
    counts: Counter[object] = Counter()
    for number, *values in connection.execute(f"SELECT {rowid}, {selected} FROM {of}"):
        row = dict(zip(called, zip(values[::2], values[1::2], strict=True), strict=True))
        key: object = number if table.full_text else tuple(row[name] for name in keys)
        if not table.full_text and (not keys or any(row[name][1] is None for name in keys)):
            whole = tuple(sorted(row.items()))
            counts[whole] += 1
            key = (whole, counts[whole])
        rows[key] = row
    return rows


class Change(NamedTuple):
    """What was done to a row: its cells before and after; None where it is not there."""

    table: str
    key: object
    was: Row | None
    now: Row | None


def changes(one: Picture, other: Picture) -> list[Change]:
    """What differs, row by row."""
    return [
        Change(table, key, rows.get(key), other[table].get(key))
        for table, rows in one.items()
        for key in [*rows, *(key for key in other[table] if key not in rows)]
        if rows.get(key) != other[table].get(key)
    ]


def touched(changed: list[Change]) -> set[tuple[str, object]]:
    """Which rows; without a key, all that are alike."""
    return {(each.table, whole_row(each.key) or each.key) for each in changed}


def whole_row(key: object) -> tuple[object, ...]:
    """The cells of a row that no key tells apart; nothing of others."""
    match key:
        case (tuple() as row, int()):
            return row
    return ()
