"""A table of its own for rows that live's schema has no place for."""

from typing import TYPE_CHECKING, Any

from psycopg import sql

from undrop.compare.structure import fold
from undrop.engines.postgres.structure import Kind

if TYPE_CHECKING:
    import psycopg

    from undrop.compare.merge import Into
    from undrop.engines.postgres.side import Side
    from undrop.sqlitefile.connect import Connection

ROWS = "pg_temp.undrop_own_rows"
TEXT = Kind("text", "text", "text", always=False)


class OwnTable:
    """What is to be made, with the types that the columns have in ``theirs``."""

    def __init__(self, into: "Into", theirs: "Side") -> None:
        self._into, self._encoded = into, theirs.encoded
        wanted = {fold(column.name): column for column in into.columns}
        kinds: dict[str, Kind] = {}
        for name, table in theirs.structure.tables.items():
            if wanted.items() <= table.columns.items():
                kinds = theirs.sources[name].kinds
                break
        self._kinds = {column.name: kinds.get(column.name, TEXT) for column in into.columns}

    def make(self, connection: "psycopg.Connection[Any]", sqlite: "Connection") -> None:
        """Make it and fill it, in the transaction. Raises psycopg.Error."""
        kinds = [self._known(connection, kind) for kind in self._kinds.values()]
        listed = [f"{name} {kind.declared}" for name, kind in zip(self._kinds, kinds, strict=True)]
        if keys := [column.name for column in self._into.columns if column.key]:
            listed.append(f"PRIMARY KEY ({', '.join(keys)})")
        name = self._name(connection)
        connection.execute(f"CREATE TABLE {name} ({', '.join(listed)})")
        temporary = ROWS.removeprefix("pg_temp.")
        connection.execute(f"CREATE TEMPORARY TABLE {temporary} (d text[]) ON COMMIT DROP")
        with connection.cursor().copy(f"COPY {ROWS} FROM STDIN") as copy:
            for row in sqlite.execute(f"SELECT * FROM {self._into.rows}"):  # noqa: S608 - ours
                copy.write_row(([None if value is None else str(value) for value in row],))
        texts = [f"d[{n + 1}]" for n in range(len(kinds))]
        if not self._encoded:
            texts = [f"convert_from(decode({text}, 'escape'), 'SQL_ASCII')" for text in texts]
        values = ", ".join(
            f"CAST({text} AS {kind.cast})" for text, kind in zip(texts, kinds, strict=True)
        )
        connection.execute(f"INSERT INTO {name} SELECT {values} FROM {ROWS}")  # noqa: S608 - quoted

    @staticmethod
    def _known(connection: "psycopg.Connection[Any]", kind: Kind) -> Kind:
        """A type that live has; a text holds the values of any other."""
        said = connection.execute("SELECT to_regtype(%s)", [kind.cast]).fetchall()
        return kind if said[0][0] else TEXT

    def _name(self, connection: "psycopg.Connection[Any]") -> str:
        """As it was asked for: in ``public``, unless it begins with a schema that there is."""
        schema, dot, name = self._into.name.partition(".")
        there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
        if dot and there.fetchall():
            return sql.Identifier(schema, name).as_string(None)
        return sql.Identifier("public", self._into.name).as_string(None)
