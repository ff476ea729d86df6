"""Rows of a table whose owner's code must not run as the user that reads them.

To plan a query the server works out the table's index expressions and predicates, as far as they
are constant (get_relation_info in plancat.c, RelationGetIndexExpressions in relcache.c): their
functions run as whoever asks, be it ``SELECT count(*)``. ``COPY table TO`` plans nothing. It is
what pg_dump does.
"""

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import psycopg

from undrop.engines.postgres import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.catalogs import Ask

ROWS = "pg_temp.undrop_rows"
AS_IT_IS = "SELECT pg_catalog.set_config('client_encoding', '{}', false)"


def of(address: "Address", snapshot: str = "") -> "Apart | None":
    """None where any code may run."""
    return None if address.trusts else Apart(address, snapshot)


class Apart:
    """The database, read by connections of its own; in that exported ``snapshot``, if any."""

    def __init__(self, address: "Address", snapshot: str = "") -> None:
        self._address, self._snapshot = address, snapshot

    @contextmanager
    def opened(self) -> "Iterator[Callable[[str, Mapping[str, str]], Ask]]":
        """Its connections for the block, and what copies a table's rows for it.

        That takes the table's name and its columns, both in SQL, the latter with the types to have
        in the copy, which must be the server's own; the answer asks a session that has the rows as
        ROWS, until the next. COPY reads nothing but tables, whatever has the name by then. Raises
        UndropError.
        """
        with (
            session.explained(self._address, "reading others' tables"),
            closing(session.connect(self._address)) as there,
            closing(session.connect(self._address)) as here,
        ):
            there.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            there.read_only = True
            if self._snapshot:
                there.execute(f"SET TRANSACTION SNAPSHOT '{self._snapshot}'")
            for connection in (there, here):
                session.settle(connection, self._address.patience)
                encoding = connection.info.parameter_status("server_encoding")
                connection.execute(AS_IT_IS.format(encoding))
            ask = session.asker(here)

            def copied(name: str, columns: "Mapping[str, str]") -> "Ask":
                listed = f" ({', '.join(columns)})" if columns else ""
                made = ", ".join(f"{column} {kind}" for column, kind in columns.items())
                ask(f"DROP TABLE IF EXISTS {ROWS}")
                ask(f"CREATE TEMPORARY TABLE {ROWS.removeprefix('pg_temp.')} ({made})")
                with (
                    there.cursor().copy(f"COPY {name}{listed} TO STDOUT") as rows,
                    here.cursor().copy(f"COPY {ROWS} FROM STDIN") as copy,
                ):
                    for block in rows:
                        copy.write(block)
                return ask

            yield copied
