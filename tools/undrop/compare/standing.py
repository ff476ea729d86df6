"""Files that stand for states of another engine's database, attached to each other for a merge."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from undrop.compare import asked
from undrop.sqlitefile import check, connect
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from undrop.compare.merge import Ops
    from undrop.compare.structure import Structure, Table
    from undrop.sqlitefile.connect import Connection


@contextmanager
def attached(files: "Mapping[str, Path]", operations: "Path") -> "Iterator[Connection]":
    """``ours`` as ``main``, the others by name, and a new file as ``ops``: all are our own."""
    operations.touch(0o600)
    connection = connect.connect(files["ours"], "rw")
    try:
        connection.execute(f"PRAGMA mmap_size = {connect.MMAP}")
        others = {name: path for name, path in files.items() if name != "ours"}
        for name, path in {**others, "ops": operations}.items():
            # No quotation mark is in a URI.
            connection.execute(f"ATTACH '{connect.uri(path, 'rw')}' AS {name}")
        for name in ("main", *others, "ops"):
            connection.execute(f"PRAGMA {name}.journal_mode = OFF")
            connection.execute(f"PRAGMA {name}.synchronous = OFF")
        yield connection
    finally:
        connection.close()


def work(connection: "Connection", what: "Callable[[], None]", tick: "Callable[[], None]") -> None:
    """Do something long with it, in a thread: Ctrl-C need not wait for that."""
    with check.beside([connection], what, tick):
        pass


def insert(
    connection: "Connection", schema: str, table: "Table", rows: "Sequence[Sequence[Any]]"
) -> None:
    """Rows, with the values of the table's ``data``, into the table of that name."""
    names = ", ".join(quoted(column.name) for column in table.data)
    marks = ", ".join("?" * len(table.data))
    if marks:
        connection.executemany(
            f"INSERT INTO {schema}.{quoted(table.name)} ({names}) VALUES ({marks})",  # noqa: S608
            rows,
        )


def among(connection: "Connection", table: "Table", rows: "Sequence[Sequence[Any]]") -> str:
    """SQL for: the row is one of these, by its key, else by all of its values."""
    known = table.key or table.data
    names = [column.name for column in table.data]
    places = [names.index(column.name) for column in known]
    listed = ", ".join(f"w{n}" for n in range(len(known)))
    connection.execute("DROP TABLE IF EXISTS temp.undrop_among")
    connection.execute(f"CREATE TABLE temp.undrop_among ({listed})")
    marks = ", ".join("?" * len(known))
    connection.executemany(
        f"INSERT INTO temp.undrop_among VALUES ({marks})",  # noqa: S608 - ours
        ([row[n] for n in places] for row in rows),
    )
    connection.execute(f"CREATE INDEX temp.undrop_among_all ON undrop_among ({listed})")
    same = " AND ".join(f"w{n} IS {quoted(c.name)}" for n, c in enumerate(known))
    return f"EXISTS (SELECT 1 FROM temp.undrop_among WHERE {same})"  # noqa: S608 - quoted


def otherwise(
    connection: "Connection",
    done: "Path",
    before: "Structure",
    operations: "Sequence[tuple[Ops, Sequence[int]]]",
    without: "Collection[str]",
) -> list[str]:
    """Tables that are not what was asked for in the file ``done``, as ``asked.otherwise`` has it.

    Of each table's rows that come the values at these places are looked at.
    """
    connection.execute(f"ATTACH '{connect.uri(done, 'immutable')}' AS done")
    wrong = [*asked.otherwise(connection, before, [ops for ops, _ in operations], (), without)]
    for ops, places in operations:
        wanted = ", ".join(f"d{n}" for n in places) or "1"
        there = ", ".join(quoted(ops.table.data[n].name) for n in places) or "1"
        sql = (
            f"SELECT {wanted} FROM {ops.rows} WHERE does <> 'gone' "  # noqa: S608 - quoted
            f"EXCEPT SELECT {there} FROM done.{quoted(ops.table.name)} LIMIT 1"
        )
        wrong += [ops.table.name] * bool(connection.ask(sql))
    return wrong
