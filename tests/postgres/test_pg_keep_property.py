"""Random tables, a random step, random writes since: what ``undo --keep`` makes of them.

Where step and writes have no row in common it is the state that the writes alone would have made;
where they have, each value is one of the two, and what was not taken back is a conflict. Seen
failing with rows put in under the wrong foreign keys' order, values cast to a column's length, and
foreign keys left out of what is asked before.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import psycopg
import pytest
from pg_merging import merged
from pg_rich import Rich
from tally import FULL, Tally

from undrop.compare.merge import NO_PLACE, Conflict, Sources

MANY = 1000 if FULL else 6
VALUES = {
    "text": ["a", "", "B b", "it's", "ü\\", "NULL"],
    "integer": ["1", "-7", "2147483647"],
    "bigint": ["9223372036854775807", "0"],
    "numeric(8,2)": ["5.00", "0.10", "-1", "NaN"],
    "numeric": ["5.00", "5", "1e-9"],
    "double precision": ["0.1", "-0", "Infinity", "NaN"],
    "boolean": ["true", "false"],
    "timestamp with time zone": ["2024-03-31 02:30+02", "infinity"],
    "date": ["2024-02-29", "-infinity"],
    "bytea": ["\\x00ff", "\\x"],
    "integer[]": ["{1,NULL,3}", "{}"],
    "json": ['{"b": 1,  "a":[null]}', "1"],
    "jsonb": ['{"a": 1.0}', "[]"],
    "character(5)": ["ab", ""],
    "character varying(4)": ["abcd", ""],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "interval": ["1 mon -3 days 04:05:06.7"],
    "int4range": ["[1,5)", "empty"],
}
ACTIONS = ["CASCADE", "SET NULL", "NO ACTION", "RESTRICT"]


class Column(NamedTuple):
    """A column, as it is before the step and after it."""

    name: str
    kind: str
    now: str
    """Empty where the step drops it."""
    parent: str = ""
    action: str = ""
    late: str = ""
    unique: bool = False


class Table(NamedTuple):
    """A table, as it is before the step and after it."""

    name: str
    now: str
    key: str
    columns: tuple[Column, ...]

    @property
    def keyed(self) -> tuple[str, ...]:
        return {"int": ("id",), "text": ("id",), "both": ("id", "part"), "none": ()}[self.key]

    def create(self) -> str:
        first = {
            "int": "id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            "text": "id text PRIMARY KEY",
            "both": "id integer, part text, PRIMARY KEY (id, part)",
            "none": "id integer",
        }[self.key]
        parts = [first]
        for column in self.columns:
            points = f" REFERENCES {column.parent} ON DELETE {column.action} {column.late}"
            parts.append(
                f"{column.name} {column.kind}{points if column.parent else ''}"
                f"{' UNIQUE' if column.unique else ''}"
            )
        if self.key == "int":
            parts.append("twice integer GENERATED ALWAYS AS (id % 1000 * 2) STORED")
        return f"CREATE TABLE {self.name} ({', '.join(parts)})"


class Write(NamedTuple):
    """Of one row: what it says before the step's change of the schema, and after it."""

    before: str
    after: str


class Example:
    """Tables, rows, and statements, by a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - nothing is secret
        self.numbers = iter(range(1, 10_000))
        self.schema = self.random.random() < 0.35
        self.overlapping = self.random.random() < 0.35
        self.tables: list[Table] = []
        for n in range(self.random.randint(2, 4)):
            self.tables.append(self._table(n))
        self.keys: dict[str, list[tuple[str, ...]]] = {table.name: [] for table in self.tables}
        self.rows = [
            self._insert(table).before
            for table in self.tables
            for _ in range(self.random.randint(3, 7))
        ]

    def _table(self, n: int) -> Table:
        key = self.random.choice(["int", "int", "text", "both", "none"])
        columns = []
        for at in range(self.random.randint(1, 4)):
            name = f"c{at}"
            now = name
            if self.schema and self.random.random() < 0.25:
                now = f"renamed_{at}"
            columns.append(Column(name, self.random.choice([*VALUES]), now))
        if self.schema and self.random.random() < 0.3:
            columns[-1] = columns[-1]._replace(now="")
        if self.random.random() < 0.3:
            columns.append(Column("u", "text", "u", unique=True))
        for parent in [t for t in self.tables if t.key in {"int", "text"}]:
            if self.random.random() < 0.6:
                kind = "integer" if parent.key == "int" else "text"
                late = self.random.choice(["", "", "DEFERRABLE INITIALLY DEFERRED"])
                action = self.random.choice(ACTIONS)
                name = f"of_{parent.name}"
                columns.append(Column(name, kind, name, parent.name, action, late))
        name = f"t{n}"
        moved = self.schema and self.random.random() < 0.2
        return Table(name, f"moved_{n}" if moved else name, key, tuple(columns))

    def ddl(self) -> Iterator[str]:
        """What the step does to the schema."""
        if not self.schema:
            return
        yield "CREATE TABLE of_the_step (v int)"
        for table in self.tables:
            for column in table.columns:
                if not column.now:
                    yield f"ALTER TABLE {table.name} DROP {column.name}"
                elif column.now != column.name:
                    yield f"ALTER TABLE {table.name} RENAME {column.name} TO {column.now}"
            if self.random.random() < 0.3:
                yield f"ALTER TABLE {table.name} ADD colour text"
            if table.now != table.name:
                yield f"ALTER TABLE {table.name} RENAME TO {table.now}"

    def _value(self, column: Column) -> str:
        if column.unique:
            return f"'u{next(self.numbers)}'"
        if column.parent:
            there = self.keys[column.parent]
            if not there or self.random.random() < 0.2:
                return "NULL"
            return self.random.choice(there)[0]
        if self.random.random() < 0.15:
            return "NULL"
        text = self.random.choice(VALUES[column.kind]).replace("'", "''")
        return f"'{text}'"

    def _insert(self, table: Table) -> Write:
        number = next(self.numbers)
        text = f"'k{number}'"
        key = {"int": (str(number),), "text": (text,), "both": (str(number % 3), text)}
        own = key.get(table.key, (str(number % 4),))
        names = [*table.keyed] or ["id"]
        values = [(column, self._value(column)) for column in table.columns]
        if table.key != "none":
            self.keys[table.name].append(own)
        sides = []
        for name, columns in (
            (table.name, [(c.name, v) for c, v in values]),
            (table.now, [(c.now, v) for c, v in values if c.now]),
        ):
            listed = ", ".join([*names, *(column for column, _ in columns)])
            given = ", ".join([*own, *(value for _, value in columns)])
            sides.append(f"INSERT INTO {name} ({listed}) OVERRIDING SYSTEM VALUE VALUES ({given})")
        if any(not column.now and value != "NULL" for column, value in values):
            # Before the step it is what it would be if nobody said anything about it.
            kept = [(c.name, v) for c, v in values if c.now]
            listed = ", ".join([*names, *(column for column, _ in kept)])
            given = ", ".join([*own, *(value for _, value in kept)])
            sides[0] = (
                f"INSERT INTO {table.name} ({listed}) OVERRIDING SYSTEM VALUE VALUES ({given})"
            )
        return Write(*sides)

    def write(self, keys: "dict[str, list[tuple[str, ...]]]") -> Write | None:
        """One more, on one of the rows with those keys, or on a new one."""
        table = self.random.choice(self.tables)
        what = self.random.choice(["insert", "insert", "update", "update", "delete"])
        if what == "insert":
            return self._insert(table)
        if table.key == "none":
            where = f"id = {self.random.randint(0, 3)}"
        elif keys[table.name]:
            own = self.random.choice(keys[table.name])
            pairs = zip(table.keyed, own, strict=True)
            where = " AND ".join(f"{name} = {value}" for name, value in pairs)
        else:
            return None
        if what == "delete":
            return Write(
                f"DELETE FROM {table.name} WHERE {where}", f"DELETE FROM {table.now} WHERE {where}"
            )
        there = [column for column in table.columns if column.now]
        if not there:
            return None
        column = self.random.choice(there)
        value = self._value(column)
        return Write(
            f"UPDATE {table.name} SET {column.name} = {value} WHERE {where}",
            f"UPDATE {table.now} SET {column.now} = {value} WHERE {where}",
        )

    def share(self) -> "tuple[dict[str, list[tuple[str, ...]]], dict[str, list[tuple[str, ...]]]]":
        """Whose rows are whose."""
        if self.overlapping:
            return self.keys, self.keys
        mine: dict[str, list[tuple[str, ...]]] = {}
        others: dict[str, list[tuple[str, ...]]] = {}
        for name, keys in self.keys.items():
            mine[name], others[name] = keys[::2], keys[1::2]
        return mine, others


def run(pg: Rich, name: str, statements: "list[str]") -> list[bool]:
    """Run each by itself; which of them the server took."""
    taken = []
    with closing(pg.server.connect(name)) as connection:
        for statement in statements:
            try:
                connection.execute(statement)
            except psycopg.Error:
                taken.append(False)
            else:
                taken.append(True)
    return taken


Rows = dict[str, "Counter[tuple[Any, ...]]"]


def read(pg: Rich, name: str, example: Example, *, after: bool) -> Rows:
    """Every row, as texts, by what the tables are called before the step."""
    found: Rows = {}
    with closing(pg.server.connect(name)) as connection:
        for table in example.tables:
            columns = ["id", *(["part"] if table.key == "both" else [])]
            columns += [c.now if after else c.name for c in table.columns if c.now or not after]
            listed = ", ".join(f"(ROW({column}))::text" for column in columns)
            rows = connection.execute(f"SELECT {listed} FROM {table.now if after else table.name}")
            found[table.name] = Counter(rows.fetchall())
    return found


def common(rows: Rows, example: Example) -> Rows:
    """The same without columns that the step drops."""
    kept: Rows = {}
    for table in example.tables:
        first = 2 if table.key == "both" else 1
        places = [*range(first), *(first + n for n, c in enumerate(table.columns) if c.now)]
        kept[table.name] = Counter()
        for row, times in rows[table.name].items():
            kept[table.name][tuple(row[n] for n in places)] += times
    return kept


def changes(old: Rows, new: Rows) -> set[tuple[str, str, tuple[Any, ...], int]]:
    """Rows that came and went."""
    return {
        (name, side, row, times)
        for name in old
        for side, counted in (("gone", old[name] - new[name]), ("come", new[name] - old[name]))
        for row, times in counted.items()
    }


def keys_of(changed: set[tuple[str, str, tuple[Any, ...], int]], example: Example) -> set[Any]:
    """Which rows those are, by key; of a table without one, by all of their values."""
    length = {table.name: len(table.keyed) for table in example.tables}
    return {(name, row[: length[name]] if length[name] else row) for name, _, row, _ in changed}


def tried(pg: Rich, seed: int) -> list[str]:
    """One example; what is wrong with what came of it."""
    example = Example(seed)
    pg.lose()
    pg.server.sql(f'CREATE DATABASE "{pg.name}"')
    for statement in [*(table.create() for table in example.tables), *example.rows]:
        pg.sql(statement)
    mine, others = example.share()
    of_step = [w for _ in range(6) if (w := example.write(mine))]
    of_others = [w for _ in range(6) if (w := example.write(others))]
    alone = f"{pg.name} alone"
    pg.server.sql(f'CREATE DATABASE "{alone}" TEMPLATE "{pg.name}"')
    try:
        before = read(pg, pg.name, example, after=False)
        dump = pg.export(pg.root / "before.pgdump")
        run(pg, pg.name, [*(w.before for w in of_step), *example.ddl()])
        after = read(pg, pg.name, example, after=example.schema)
        base = pg.export(pg.root / "after.pgdump")
        taken = run(pg, pg.name, [w.after for w in of_others])
        live = read(pg, pg.name, example, after=example.schema)
        taken_alone = run(pg, alone, [w.before for w in of_others])
        wanted = read(pg, alone, example, after=False)
        sources = Sources(dump, base, None) if example.schema else Sources(None, base, dump)
        kept = merged(pg, sources, force=True)
        now = read(pg, pg.name, example, after=False)
    finally:
        pg.server.sql(f'DROP DATABASE "{alone}"')
        for path in (*pg.backups.iterdir(), pg.root / "before.pgdump", pg.root / "after.pgdump"):
            path.unlink()
        shutil.rmtree(pg.environment["XDG_STATE_HOME"], ignore_errors=True)
    if example.schema and any(
        each.why == NO_PLACE or "invalid input syntax" in each.why for each in kept.conflicts
    ):
        return []  # which of the new names are whose, its rows alone do not tell
    stepped = changes(common(before, example), after if example.schema else common(after, example))
    written = changes(
        after if example.schema else common(after, example),
        live if example.schema else common(live, example),
    )
    same = written == changes(common(before, example), common(wanted, example))
    apart = not keys_of(stepped, example) & keys_of(written, example)
    if apart and same and taken == taken_alone:
        wrong = changes(wanted, now)
        return [f"seed {seed}: {sorted(map(str, wrong))} {kept.conflicts}"] * bool(
            wrong or kept.conflicts
        )
    return [
        *strange(
            seed,
            example,
            kept.conflicts,
            common(before, example),
            live if example.schema else common(live, example),
            common(now, example),
            (keys_of(stepped, example), keys_of(written, example)),
        )
    ]


def strange(
    seed: int,
    example: Example,
    conflicts: list[Conflict],
    before: Rows,
    live: Rows,
    now: Rows,
    touched: tuple[set[Any], set[Any]],
) -> Iterator[str]:
    """What is neither before's nor live's, was not taken back, or did not stay, and is no conflict.

    ``touched``: by the step, and by others.
    """
    of_step, of_others = touched
    told = {(each.table, tuple(str(value) for value in each.key.values())) for each in conflicts}
    for table in example.tables:
        count = len(table.keyed)
        if not count:
            for row in now[table.name]:
                if row not in before[table.name] and row not in live[table.name]:
                    yield f"seed {seed}: {table.name} {row} is nobody's"
            continue
        sides = [{row[:count]: row for row in rows[table.name]} for rows in (before, live, now)]
        old, new, found = sides
        for key in old.keys() | new.keys() | found.keys():
            there = found.get(key)
            pair = [each for each in (old.get(key), new.get(key)) if each]
            if there and any(v not in {each[n] for each in pair} for n, v in enumerate(there)):
                yield f"seed {seed}: {table.name} {there} is nobody's: {pair}"
            plain = tuple(part[1:-1].strip('"') for part in key)
            is_told = any((name, plain) in told for name in (table.name, table.now))
            if (table.name, key) not in of_step and there != new.get(key) and not is_told:
                yield f"seed {seed}: {table.name} {key} did not stay, and is not told"
            alone = (table.name, key) in of_step - of_others
            if alone and there != old.get(key) and not is_told:
                yield f"seed {seed}: {table.name} {key} is not taken back, and not told"


@pytest.mark.full
def test_what_the_step_did_goes_and_what_came_since_stays(
    pg: Rich, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    for name, value in pg.environment.items():
        monkeypatch.setenv(name, value)
    tally("undo --keep, PostgreSQL", MANY, [wrong for n in range(MANY) for wrong in tried(pg, n)])
