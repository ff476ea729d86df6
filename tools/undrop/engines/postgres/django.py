"""A database of PostgreSQL's as Django's settings have it."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from undrop.values import Target

KEPT = ("service", "passfile", "hostaddr", "sslmode", "sslrootcert", "sslcert", "sslkey")
"""What of a connection's OPTIONS says where the database is, and how one gets there."""
READ_ONLY = "-c default_transaction_read_only"


def url(database: dict[str, Any]) -> str:
    """SQLAlchemy's URL of an item of DATABASES, with the password that it has."""
    from sqlalchemy.engine import URL

    options = database.get("OPTIONS") or {}
    # In libpq's options there may be a search_path, without which its tables are not found.
    query = {name: str(options[name]) for name in (*KEPT, "options") if options.get(name)}
    host = str(database.get("HOST") or "")
    if host.startswith(("/", "@")) or "," in host:  # a socket's folder, or several servers
        query["host"], host = host, ""
        if port := str(database.get("PORT") or ""):
            query["port"] = port
    port = "" if "host" in query else str(database.get("PORT") or "")
    return URL.create(
        "postgresql",
        username=database.get("USER") or None,
        password=database.get("PASSWORD") or None,
        host=host or None,
        port=int(port) if port else None,
        database=database.get("NAME") or None,
        query=query,
    ).render_as_string(hide_password=False)


def handed(database: dict[str, Any], target: "Target") -> dict[str, Any]:
    """The item with another database in it, and the one that may be written to."""
    options = {**(database.get("OPTIONS") or {})}
    given = options.get("options") or os.environ.get("PGOPTIONS", "")
    moved = {**database, "NAME": target.database}
    if target.server:
        from undrop.engines.postgres import address

        there = address.parse(target.server).keywords
        for name in KEPT:
            options.pop(name, None)
        words = {"USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
        moved |= {name: there.get(word, "") for name, word in words.items()}
        options |= {name: there[name] for name in KEPT if name in there}
    return {**moved, "OPTIONS": {**options, "options": f"{given} {READ_ONLY}=off".strip()}}


def is_at(cursor: Any, target: "Target") -> bool:  # noqa: ANN401 - Django's
    """Whether that is what is connected to."""
    cursor.execute("SELECT current_database()")
    return bool(cursor.fetchone()[0] == target.database)


def keep_others() -> None:
    """Have the server refuse what writes, but to the one that is handed: libpq's PGOPTIONS."""
    given = os.environ.get("PGOPTIONS", "")
    os.environ["PGOPTIONS"] = f"{given} {READ_ONLY}=on".strip()


def refuse_shared(connection: Any) -> None:  # noqa: ANN401 - Django's
    """Refuse what belongs to the whole server, before it is committed.

    Where no transaction is, by its words (docs.djangoproject.com, "instrumentation"). What commits
    is Django's ``atomic``, by ``commit`` of the connection (django.db.transaction).
    """
    from undrop.engines.postgres import address, exclusive, migrating, shared

    here, commit = address.parse(url(connection.settings_dict)), connection.commit

    def run(execute: Callable[..., Any], sql: Any, *rest: Any) -> Any:  # noqa: ANN401
        if not connection.in_atomic_block:
            migrating.refuse_shared(str(sql), "manage.py")
        return execute(sql, *rest)

    def ask(sql: str) -> list[Any]:
        with connection.connection.cursor() as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def checked() -> None:
        with exclusive.settled(ask):
            server = shared.written(ask, here)
        if server:
            connection.rollback()
            raise RuntimeError(migrating.shared_words(", ".join(server), "manage.py"))
        commit()

    connection.execute_wrappers.append(run)
    connection.commit = checked
