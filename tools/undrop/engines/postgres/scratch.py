"""Scratch databases, in which dumps are proved and migrations tried; dropped again in any case."""

import os
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from undrop import durable
from undrop.engines.postgres import session
from undrop.errors import UndropError
from undrop.recipes import Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.engines.postgres.address import Address

PREFIX = "undrop_scratch_"


BIRTH = (
    "SELECT format('ENCODING = %L LC_COLLATE = %L LC_CTYPE = %L', pg_encoding_to_char(encoding), "
    "datcollate, datctype) || CASE more->>'datlocprovider' "
    "WHEN 'i' THEN format(' LOCALE_PROVIDER = icu ICU_LOCALE = %L', "
    "coalesce(more->>'daticulocale', more->>'datlocale')) "
    "WHEN 'b' THEN format(' LOCALE_PROVIDER = builtin BUILTIN_LOCALE = %L', more->>'datlocale') "
    "ELSE '' END || coalesce(' ICU_RULES = ' || quote_literal(more->>'daticurules'), '') "
    "FROM (SELECT *, to_jsonb(d) AS more FROM pg_database d) AS d "
    "WHERE datname = current_database()"
)
"""Asks a database for its encoding and locale, as CREATE DATABASE takes them
(catalog-pg-database.html; not each release has all of it)."""
SETTINGS = (
    "SELECT DISTINCT ON (1) split_part(c, '=', 1), substr(c, strpos(c, '=') + 1) "
    "FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS c "
    "WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user)) "
    "ORDER BY 1, s.setrole DESC"
)
"""What ALTER DATABASE has set, and ALTER ROLE for this user in it."""
EXTENSIONS = (
    "SELECT quote_ident(x.extname), quote_ident(n.nspname) FROM pg_extension x "
    "JOIN pg_namespace n ON n.oid = x.extnamespace "
    "WHERE x.extname <> 'plpgsql' AND ({} OR NOT pg_has_role(x.extowner, 'USAGE')) ORDER BY x.oid"
)
NOT_ALLOWED = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ReadOnlySqlTransaction,  # a standby
    psycopg.errors.FeatureNotSupported,
)


class NoScratchError(UndropError):
    """No database can be made there by the user that we connect as."""


class Scratch:
    """A server on which this project makes scratch databases, known by their names."""

    def __init__(self, server: "Address", like: "Address", mark: str) -> None:
        self.server, self._like, self._mark = server, like, f"{PREFIX}{mark}_"

    @contextmanager
    def database(
        self, template: "Address | None" = None, birth: bytes | None = None
    ) -> "Iterator[Address]":
        """A new database, empty or a copy of another of ours, dropped when the block ends.

        It has the encoding and locale that ``birth`` says (``script.birth``), else the live
        database's. Raises NoScratchError, UndropError.
        """
        name = f"{self._mark}{os.getpid()}_{secrets.token_hex(3)}"
        copied = sql.SQL("TEMPLATE {}").format(sql.Identifier(template.name)) if template else None
        options = [copied] if copied else births(self._locale() if birth is None else birth)
        with _maintenance(self.server, "making a scratch database") as connection:
            try:
                _create_private(connection, name, options)
            except NOT_ALLOWED as error:
                raise NoScratchError(
                    f"no scratch database can be made here: {error.diag.message_primary}",
                    "ALTER ROLE … CREATEDB, or",
                    Setting('verify-url = "postgresql://HOST/NAME"'),
                    ", a server where this user may make one, then the same again",
                ) from error
        try:
            self._set_alike(name)
            yield self.server.other(name)
        finally:
            with suppress(UndropError), _maintenance(self.server, "dropping it") as connection:
                _drop(connection, name)

    @contextmanager
    def ahead(self, birth: bytes) -> "Iterator[Callable[[], Address]]":
        """The same, empty and being made while the block runs; its answer waits for that."""
        making = self.database(birth=birth)
        with ThreadPoolExecutor(1) as thread:
            made = thread.submit(making.__enter__)
            try:
                yield made.result
            finally:
                if made.exception() is None:
                    making.__exit__(None, None, None)

    def sweep(self) -> None:
        """Drop the scratch databases of this project's runs that were killed. Raises UndropError.

        Others that are at work may have some: who only looks holds no lock.
        """
        with _maintenance(self.server, "looking for scratch databases") as connection:
            names = connection.execute(
                "SELECT datname FROM pg_database WHERE datname ^@ %s", [self._mark]
            )
            for (name,) in names.fetchall():
                if durable.is_alive(name.removeprefix(self._mark).partition("_")[0]):
                    continue
                with suppress(psycopg.Error):
                    _drop(connection, name)

    def _set_alike(self, name: str) -> None:
        """Settings of the live database decide what names mean, search_path above all."""
        chosen = self._asked(SETTINGS, "asking for its settings")
        if not chosen:
            return
        with _maintenance(self.server, "setting up a scratch database") as connection:
            for setting, value in chosen:
                with suppress(psycopg.Error):
                    # The one reads a list as it was written down, the other writes it so again.
                    say = "SELECT pg_catalog.set_config(%s, %s, false)"
                    connection.execute(say, [setting, value])
                    what = [sql.Identifier(name), sql.Identifier(*setting.split("."))]
                    connection.execute(
                        sql.SQL("ALTER DATABASE {} SET {} FROM CURRENT").format(*what)
                    )

    def extend(self, there: "Address", *, every: bool) -> None:
        """Give an empty scratch database what extensions stay in the live one when it is emptied.

        ``every``: this user's own, too, since it will not be emptied. Those that may not be made
        here are left out: what needs them will say so. Raises UndropError.
        """
        extensions = self._asked(EXTENSIONS.format(every), "asking for its extensions")
        if not extensions:
            return
        with session.opened(there, "making extensions", autocommit=True) as connection:
            for name, schema in extensions:
                with suppress(psycopg.Error):
                    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
                    make = f"CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA {schema} CASCADE"
                    connection.execute(make)

    def _asked(self, question: str, doing: str) -> list[Any]:
        """The live database's answer, where it is there to be asked."""
        with suppress(UndropError), session.opened(self._like, doing) as live:
            return session.asker(live)(question)
        return []

    def _locale(self) -> bytes:
        """The live database's encoding and locale."""
        return b"".join(str(found).encode() for (found,) in self._asked(BIRTH, "asking its locale"))


def births(birth: bytes) -> "list[sql.Composed]":
    """Ways to make a database like the one that was dumped, the best one first."""
    text = birth.decode("utf-8", "surrogateescape")
    encoding = re.match(r"ENCODING = '\w+'", text)
    ways = [text, f"{encoding[0]} LOCALE = 'C'" if encoding else ""]
    # Written by the server or by pg_dump, which quote what they say.
    words: Any = ["template0 " + each for each in dict.fromkeys(ways)]
    return [sql.SQL("TEMPLATE {}").format(sql.SQL(each)) for each in words]


def _create_private(
    connection: "psycopg.Connection[Any]", name: str, ways: "list[sql.Composed]"
) -> None:
    """No other role may come in, not even for a moment, and leave something there."""
    _create(connection, name, [sql.SQL("{} ALLOW_CONNECTIONS false").format(way) for way in ways])
    for words in (
        "REVOKE ALL ON DATABASE {} FROM PUBLIC",
        "ALTER DATABASE {} ALLOW_CONNECTIONS true",
    ):
        connection.execute(sql.SQL(words).format(sql.Identifier(name)))


def _create(connection: "psycopg.Connection[Any]", name: str, ways: "list[sql.Composed]") -> None:
    """Another server, or another release, may not know a locale: any will do for a while."""
    for way in ways:
        try:
            connection.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), way))
        except (psycopg.ProgrammingError, psycopg.DataError) as error:
            if isinstance(error, NOT_ALLOWED) or way is ways[-1]:
                raise
        else:
            return


def _drop(connection: "psycopg.Connection[Any]", name: str) -> None:
    connection.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )


def create(address: "Address", birth: bytes) -> None:
    """Make the database that an address names, like the one that was dumped. Raises UndropError.

    Its owner is who makes it; it has none of the grants and settings that ALTER DATABASE gave.
    """
    with _maintenance(address, f"creating {address.label}") as connection:
        if birth:
            _create(connection, address.name, births(birth))
        else:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(address.name)))


@contextmanager
def _maintenance(server: "Address", doing: str) -> "Iterator[psycopg.Connection[Any]]":
    with session.explained(server, doing), session.maintenance(server) as connection:
        yield connection
