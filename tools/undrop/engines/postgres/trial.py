"""A merge tried in a scratch database: what the server takes, and in which order."""

from typing import TYPE_CHECKING, Any

import psycopg

from undrop.compare import refused as refusals
from undrop.compare.refused import Refused
from undrop.compare.structure import fold
from undrop.engines.postgres import references, session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from undrop.compare.merge import Conflict
    from undrop.engines.postgres.operations import Operations
    from undrop.engines.postgres.plan import Part, Plan
    from undrop.engines.postgres.references import Key
    from undrop.engines.postgres.structure import Source
    from undrop.sqlitefile.connect import Connection

REFUSALS = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.errors.RaiseException,  # by a trigger
    psycopg.errors.GeneratedAlways,
)
"""What the server says of a row; all else is no row's fault."""
TAKEN = (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation)
UNIQUE = """
SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid
    AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
WHERE i.indexrelid = to_regclass(%s) AND i.indpred IS NULL AND i.indexprs IS NULL
"""
"""The columns of an index."""
UNFIT = "a column there does not hold a value of it"


class Trial:
    """Everything is done, again and again, until nothing is refused; what was, is a conflict."""

    def __init__(
        self,
        connection: "psycopg.Connection[Any]",
        sqlite: "Connection",
        plan: "Plan",
        keys: "Sequence[Key]",
        sources: "Mapping[str, Source]",
    ) -> None:
        self._connection, self._sqlite, self._plan = connection, sqlite, plan
        self._keys, self._sources = keys, sources
        self._ask = session.asker(connection)
        self.alterable: set[str] = set()
        """Tables that this user may alter, in live; by folded name."""
        self.conflicts: list[Conflict] = []

    def run(self) -> None:
        """Leave it done, in the transaction. Raises psycopg.Error."""
        self._drop(self._unfit())
        while broken := references.broken(
            self._ask, [*self._keys], self._plan.tables, self._sources
        ):
            self._drop(broken)
        while not self._is_done():
            pass

    def _drop(self, refused: "list[Refused]") -> None:
        once = [*{(each.ops.number, each.n): each for each in refused}.values()]
        self.conflicts += refusals.drop(self._sqlite, once)
        for operations in self._plan.tables.values():
            numbers = [str(each.n) for each in once if each.ops is operations.ops]
            if numbers:
                self._ask(f"DELETE FROM {operations.rows} WHERE n IN ({', '.join(numbers)})")  # noqa: S608

    def _unfit(self) -> "list[Refused]":
        """Operations with a value that a column does not hold as it is."""
        refused = []
        for operations in self._plan.tables.values():
            for n, why in self._failing(operations.rows, "does <> 'gone'", operations.casts):
                refused.append(Refused(operations.ops, n, why))
        self._drop(refused)
        return [
            Refused(operations.ops, n, UNFIT)
            for operations in self._plan.tables.values()
            for sql in operations.unfit()
            for (n,) in self._ask(sql)
        ]

    def _failing(
        self, rows: str, where: str, statement: "Callable[[str], str]"
    ) -> "Iterator[tuple[int, str]]":
        if not self._refusal([statement("")]):
            return
        for (n,) in self._ask(f"SELECT n FROM {rows} WHERE {where} ORDER BY n"):  # noqa: S608
            if error := self._refusal([statement(f" AND x.n = {n}")]):
                yield n, _said(error)

    def _refusal(self, statements: "Sequence[str]") -> psycopg.Error | None:
        """Run them, all or none; what the server says where it refuses."""
        try:
            with self._connection.transaction():  # a savepoint
                for sql in statements:
                    self._connection.execute(sql)
        except REFUSALS as error:
            return error
        return None

    def _is_done(self) -> bool:
        """Whether all could be done; where not, nothing is, and what was learnt is kept."""
        self._ask("SAVEPOINT undrop_try")
        for part in self._plan.parts():
            error = self._refusal([*part.statements("")])
            if error is None:
                continue
            refused: list[Refused] = []
            if not self._learn(part, error):
                if part.operations is None:
                    raise error
                refused = self._one_by_one(part, part.operations)
                if not refused:
                    continue
            self._ask("ROLLBACK TO SAVEPOINT undrop_try")
            self._drop(refused)
            self._plan.one_by_one.clear()
            return False
        return True

    def _learn(self, part: "Part", error: psycopg.Error) -> bool:
        """Whether there is another way, of which nothing is known yet."""
        plan, operations = self._plan, part.operations
        if operations is None:
            name = self._constraint(error)
            is_new = bool(name) and name not in plan.at_once
            plan.at_once += [name] * is_new
            return is_new
        if isinstance(error, TAKEN) and not plan.early and operations.has & {"gone", "change"}:
            plan.early = True
            return True
        if isinstance(error, psycopg.errors.ForeignKeyViolation):
            late = [key for key in plan.keys if self._may_be_late(key, error)]
            plan.late += late
            return bool(late)
        again = isinstance(error, (*TAKEN, psycopg.errors.GeneratedAlways))
        if part.does == "change" and operations.name not in plan.anew and again:
            may = not self._is_held(operations)
            plan.anew |= {operations.name} if may else set()
            return may
        return False

    def _may_be_late(self, key: "Key", error: psycopg.Error) -> bool:
        """Whether the server can be told to check the key that it says is broken at the end."""
        if key.deferrable or key in self._plan.late or key.child not in self.alterable:
            return False
        return f"{key.schema}.{key.constraint}" == self._constraint(error)

    def _constraint(self, error: psycopg.Error) -> str:
        """The one that it names, in SQL; empty for none."""
        names = [error.diag.schema_name, error.diag.constraint_name]
        sql = "SELECT quote_ident(%s) || '.' || quote_ident(%s)"
        return str(self._connection.execute(sql, names).fetchall()[0][0] or "")

    def _is_held(self, operations: "Operations") -> bool:
        """Whether something would happen to rows that point to those that change."""
        for key in self._keys:
            if key.parent != operations.name or not key.acts_on_delete:
                continue
            places = [operations.places.get(fold(name), -1) for name in key.to]
            if -1 in places or key.child not in self._sources:
                return True
            point = " AND ".join(
                f"c.{name} = {operations.value('x', 'o', n)}"
                for name, n in zip(key.columns, places, strict=True)
            )
            sql = (
                f"SELECT 1 FROM {operations.rows} AS x JOIN {self._sources[key.child].sql} AS c "  # noqa: S608
                f"ON {point} WHERE x.does = 'change' LIMIT 1"
            )
            if self._ask(sql):
                return True
        return False

    def _one_by_one(self, part: "Part", operations: "Operations") -> "list[Refused]":
        """Which operations are refused, in whatever order they are done."""
        sql = f"SELECT x.n FROM {operations.rows} AS x WHERE x.does = '{part.does}' ORDER BY n"  # noqa: S608
        waiting = [n for (n,) in self._ask(sql)]
        done: list[int] = []
        while True:
            failed = []
            for n in waiting:
                if error := self._refusal([*part.statements(f" AND x.n = {n}")]):
                    taken = self._taken(operations, n, error)
                    failed.append(Refused(operations.ops, n, _said(error), taken))
                else:
                    done.append(n)
            if not failed or len(failed) == len(waiting):
                break
            waiting = [each.n for each in failed]
        if not failed:
            self._plan.one_by_one[operations.name, part.does] = done
        return failed

    def _taken(
        self, operations: "Operations", n: int, error: psycopg.Error
    ) -> "dict[str, object] | None":
        """Of the row that has what is unique already, that and its key; None where none has."""
        if not isinstance(error, psycopg.errors.UniqueViolation):
            return None
        found = self._connection.execute(UNIQUE, [self._constraint(error)]).fetchall()
        places = [operations.places.get(fold(name), -1) for (name,) in found]
        if not places or -1 in places:
            return None
        shown = [place for place in operations.key if place not in places] + places
        listed = ", ".join(f"t.{operations.fields[place].name}" for place in shown)
        same = " AND ".join(
            f"t.{operations.fields[place].name} = {operations.value('x', 'd', place)}"
            for place in places
        )
        row = self._ask(
            f"SELECT {listed} FROM {operations.source.sql} AS t, {operations.rows} AS x "  # noqa: S608
            f"WHERE x.n = {n} AND {same}"
        )
        names = [operations.ops.table.data[place].name for place in shown]
        values = (
            [value if isinstance(value, int) else str(value) for value in row[0]] if row else []
        )
        return dict(zip(names, values, strict=True)) if row else None


def _said(error: psycopg.Error) -> str:
    """What the server says, in a line."""
    return " ".join(str(error.diag.message_primary or error).split())
