"""Scratch databases, in which dumps are proved and migrations tried; dropped again in any case."""

import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from undrop.errors import UndropError
from undrop.postgres import session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.postgres.address import Address

PREFIX = "undrop_scratch_"


class NoScratchError(UndropError):
    """No database can be made there by the user that we connect as."""


class Scratch:
    """A server on which this project makes scratch databases, known by their names."""

    def __init__(self, server: "Address", like: "Address", mark: str) -> None:
        self.server, self._like, self._mark = server, like, f"{PREFIX}{mark}_"

    @contextmanager
    def database(self, template: "Address | None" = None) -> "Iterator[Address]":
        """A new database, empty or a copy of another of ours, dropped when the block ends.

        It has the live database's encoding and locale. Raises NoScratchError, UndropError.
        """
        name = f"{self._mark}{os.getpid()}_{secrets.token_hex(3)}"
        with _maintenance(self.server, "making a scratch database") as connection:
            self._create(connection, name, template)
        try:
            yield self.server.other(name)
        finally:
            with suppress(UndropError), _maintenance(self.server, "dropping it") as connection:
                _drop(connection, name)

    def sweep(self) -> None:
        """Drop the scratch databases of this project's runs that were killed.

        Call it inside ``turn.take``: what is there then is nobody's. Raises UndropError.
        """
        with _maintenance(self.server, "looking for scratch databases") as connection:
            found = connection.execute(
                "SELECT datname FROM pg_database WHERE datname ^@ %s", [self._mark]
            )
            for (name,) in found.fetchall():
                with suppress(psycopg.Error):
                    _drop(connection, name)

    def _create(
        self, connection: "psycopg.Connection[Any]", name: str, template: "Address | None"
    ) -> None:
        options = sql.SQL("TEMPLATE {}").format(
            sql.Identifier(template.name if template else "template0")
        )
        if template is None:
            options = sql.SQL(" ").join([options, *self._locale()])
        try:
            statement = sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), options)
            connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege as error:
            raise NoScratchError(
                "this user may not create databases, so nothing can be tried in one",
                "ALTER ROLE … CREATEDB, or set `verify-url` in [tool.undrop] to a server where it "
                "may, then the same again",
            ) from error

    def _locale(self) -> "Iterator[sql.Composable]":
        """The live database's encoding and locale, where it is there to be asked."""
        if self._like.keywords.get("host") != self.server.keywords.get("host"):
            return  # another server may not know these names
        with suppress(UndropError), session.opened(self._like, "asking for its locale") as live:
            [found] = live.execute(
                "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database "
                "WHERE datname = current_database()"
            )
            for word, text in zip(("ENCODING", "LC_COLLATE", "LC_CTYPE"), found, strict=True):
                if text:
                    yield sql.SQL("{} {}").format(sql.SQL(word), sql.Literal(text))


def _drop(connection: "psycopg.Connection[Any]", name: str) -> None:
    connection.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )


def create(address: "Address") -> None:
    """Make the database that an address names. Raises UndropError."""
    with _maintenance(address, f"creating {address.label}") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(address.name)))


@contextmanager
def _maintenance(server: "Address", doing: str) -> "Iterator[psycopg.Connection[Any]]":
    with session.explained(server, doing), session.maintenance(server) as connection:
        yield connection
