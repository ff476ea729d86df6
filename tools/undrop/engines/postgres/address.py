"""Where a database is: from SQLAlchemy's URL to what libpq takes, with the password kept apart."""

import os
import re
from getpass import getuser
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from undrop.errors import UsageError
from undrop.recipes import Setting
from undrop.values import PATIENCE, VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

EXTRA = "pip install 'undrop[postgres]'"
HOW_TO_SET = Setting('url = "postgresql://HOST/NAME"')
SECRETS = {"password", "sslpassword", "passfile", "scram_client_key", "oauth_client_secret"}
OURS = {"application_name", "fallback_application_name", "client_encoding"}
"""What connections of ours say themselves."""
NOT_BOOLEAN = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}


class Address(NamedTuple):
    """A database on a server."""

    keywords: dict[str, str]
    """libpq's (postgresql.org/docs/current/libpq-connect.html, 34.1.2)."""
    patience: float = PATIENCE
    """Seconds that a lock is waited for there."""
    version_table: str = VERSION_TABLE
    """Where its revision is (``Session.version_table``)."""
    trusts: bool = False
    """Whether anybody's code may run there as the user that we connect as."""

    @property
    def name(self) -> str:
        """The database's name."""
        found = self.keywords.get("dbname") or _of_service(self.keywords)
        return (
            found
            or os.environ.get("PGDATABASE")
            or self.keywords.get("user")
            or os.environ.get("PGUSER")
            or getuser()
        )

    @property
    def label(self) -> str:
        """``postgresql://HOST:PORT/NAME``: without user, password and options."""
        if service := self.keywords.get("service"):
            return f"postgresql:///{quote(self.name)}?service={quote(service)}"
        host = self.keywords.get("host") or os.environ.get("PGHOST") or ""
        port = self.keywords.get("port") or os.environ.get("PGPORT") or ""
        if host.startswith(("/", "@")) or "," in host:  # a socket's folder, or several servers
            more = f"&port={port}" if port else ""
            return f"postgresql:///{quote(self.name)}?host={quote(host, safe='/,@')}{more}"
        host = f"[{host}]" if ":" in host else host
        return f"postgresql://{host}{f':{port}' if port else ''}/{quote(self.name)}"

    def other(self, name: str) -> "Address":
        """Another database on the same server."""
        return self._replace(keywords={**self.keywords, "dbname": name})

    def environment(self) -> dict[str, str]:
        """For the server's tools: what must not be seen on a command line."""
        given = {"PGPASSWORD": self.keywords.get("password"), "PGAPPNAME": "undrop"}
        passfile = {"PGPASSFILE": self.keywords.get("passfile")}
        found = {name: value for name, value in {**given, **passfile}.items() if value}
        return {**os.environ, "LC_MESSAGES": "C", **found}

    def conninfo(self) -> str:
        """For the server's tools: everything else, as one argument."""
        from psycopg.conninfo import make_conninfo

        plain = {name: text for name, text in self.keywords.items() if name not in SECRETS}
        return make_conninfo(**plain)

    def hidden(self, text: str) -> str:
        """A message without the password, should it be quoted in it."""
        for secret in (self.keywords.get(name, "") for name in SECRETS - {"passfile"}):
            text = text.replace(secret, "***") if len(secret) > 2 else text
        return text


PLAIN = re.compile(
    r"postgresql(?:\+\w+)?://(?:(?P<user>[^\s:@/?]*)(?::(?P<password>[^\s:@/?]*))?@)?"
    r"(?P<host>[\w.-]*)(?::(?P<port>\d+))?/(?P<dbname>[^\s/?@]*)(?:\?(?P<query>[\w.=&/%-]*))?",
    re.ASCII,
)


def parse(url: str) -> Address:
    """What SQLAlchemy would connect to. Raises UsageError."""
    if plain := _plain(url):
        return plain
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return of_url(make_url(url))
    except (ArgumentError, ValueError):
        what = "not a database URL (it is not shown: it may hold a password)"
        raise UsageError(what, HOW_TO_SET) from None


def _plain(url: str) -> Address | None:
    """The same for a URL with nothing odd in it; None for SQLAlchemy to read.

    Loading that takes longer than a small backup.
    """
    if not (found := PLAIN.fullmatch(url)):
        return None
    words = found.groupdict()
    query = parse_qsl(words.pop("query") or "", keep_blank_values=True)
    names = {name for name, _ in query}
    given = {name: unquote(text) for name, text in words.items() if text}
    if len(names) < len(query) or names - {"host", "port", "sslmode"} or names & given.keys():
        return None
    # An IPv6 address or several hosts have rules of their own.
    if any(":" in text or "," in text or not text for _, text in query):
        return None
    _known()
    return Address({**given, **dict(query)})


def of_url(url: "URL") -> Address:
    """The same of a URL that SQLAlchemy has read. Raises UsageError."""
    # asyncpg's word for sslmode; in pg8000 it takes an object, which no URL can hold.
    if (wanted := url.query.get("ssl")) and "sslmode" not in url.query:
        mode = str(wanted) if wanted in NOT_BOOLEAN else "require"
        url = url.update_query_dict({"sslmode": mode})
    dialect: Any = url.set(drivername="postgresql+psycopg").get_dialect()()
    _, options = dialect.create_connect_args(url.set(drivername="postgresql+psycopg"))
    known = _known() - OURS
    parameters = {name: str(text) for name, text in options.items() if name in known}
    if "sslpassword" in parameters:
        raise UsageError(
            "sslpassword in the URL: pg_dump can be given none that others do not see",
            "use a key without a passphrase, readable by its owner only (sslkey)",
        )
    return Address(parameters)


def _known() -> set[str]:
    """Libpq's keywords; a driver of another make has options of its own."""
    try:
        from psycopg import pq
    except ImportError:
        raise UsageError("the driver for PostgreSQL is not installed (psycopg)", EXTRA) from None
    return {option.keyword.decode() for option in pq.Conninfo.get_defaults()}


def _of_service(keywords: dict[str, str]) -> str:
    """The database that a service file names, as libpq reads it; empty without one."""
    if not keywords.get("service") and "PGSERVICE" not in os.environ:
        return ""
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    # A place where no server can be: it reads the file, and goes no further.
    nowhere = make_conninfo(**{**keywords, "host": "/dev/null", "hostaddr": "", "port": "1"})
    connection = pq.PGconn.connect_start(nowhere.encode())
    try:
        return connection.db.decode()
    finally:
        connection.finish()
