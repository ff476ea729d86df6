"""The proof that a dump is whole: restored into a scratch database, it holds what was dumped."""

import re
from typing import TYPE_CHECKING

import psycopg

from undrop import durable
from undrop.engines.postgres import content, load, locks, programs, session, trust
from undrop.engines.postgres.scratch import NoScratchError
from undrop.engines.postgres.trust import UntrustedError
from undrop.errors import DamagedError, UndropError
from undrop.recipes import Action, Setting
from undrop.record import ANYBODY
from undrop.values import Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from undrop.engines.postgres.address import Address
    from undrop.engines.postgres.content import Content
    from undrop.record import Record
    from undrop.values import Progress

NOT_ALLOWED = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.OutOfMemory,  # more locks than max_locks_per_transaction allows
    psycopg.errors.FeatureNotSupported,  # an extension that this server does not have
    psycopg.errors.UndefinedFile,
)


def prove(  # noqa: PLR0913 - all that is known of it
    scratch: "Callable[[], Address] | None",
    dump: "Path",
    whole: "Content | None",
    progress: "Progress",
    *,
    dump_digest: str,
    code: "Sequence[str] | None",
) -> Facts:
    """Restore a dump into a scratch database and compare what it holds with ``whole``.

    ``scratch`` gives an empty one, when it is asked for.
    ``code``: the owners of code in it; None where nobody knows (``trust.code_of``). Where no
    scratch database can be made, or that code must not run there, ``pg_restore --list`` has to do,
    and ``Facts.check`` says so. Raises DamagedError, UndropError.
    """
    size = durable.size(dump)
    why, there = "there is no server to try it on", whole
    try:
        if code is None:
            raise trust.unvouched(dump)
        if scratch:
            there, why = restored(scratch(), dump, progress, code), ""
    except (NoScratchError, UntrustedError, _NotHereError) as no:
        why = no.what
    if why:
        programs.read_list(dump)
    owners = [ANYBODY] if code is None else [*code]
    if there is None:
        return Facts(size, dump_digest, [], [], f"ok, not restored: {why}", code=owners)
    if whole and there.data != whole.data:
        wrong = [
            f"{name}: {whole.rows.get(name, 'no'):,} rows, {there.rows.get(name, 'no')} in the dump"
            for name in sorted({*whole.tables, *there.tables})
            if whole.tables.get(name) != there.tables.get(name)
        ]
        raise DamagedError(
            f"it does not hold what the database held: {'; '.join(wrong) or 'large objects'}",
            Action("list"),
        )
    if whole:
        there = there._replace(definitions=whole.definitions)
    return Facts(
        bytes=size,
        digest=dump_digest,
        revisions=there.revisions,
        filled=there.filled,
        check=f"ok, not restored: {why}" if why else "ok",
        content=there.all,
        definitions=there.definitions,
        rows=there.rows,
        code=owners,
    )


def refuse_other(content: str, rows: "Mapping[str, int]", record: "Record") -> None:
    """Raise DamagedError where what a dump brought back is not what its record says it has."""
    # An older undrop, which did not say whose code it has, summed up generated columns too,
    # and each partition by itself.
    is_older = ANYBODY in record.code
    is_other = content.split(" ", maxsplit=1)[0] != record.content.split(" ")[0]
    if sum(rows.values()) != sum(record.rows.values()) if is_older else is_other:
        raise DamagedError("what it brings back is not what its record says", Action("list"))


AGAIN = "then the same again"
CALLED = re.compile(r'function "?((?:\w+\.)?\w+)')
"""What the server says that it was in."""


def _unresolved(error: psycopg.Error) -> tuple[str, str]:
    """What is said of a dump of which something is not found while it is loaded."""
    said = " ".join(str(error.diag.message_primary).split())
    inside = CALLED.search(error.diag.context or "")
    if inside is None:
        return said, f"have the database say where that is, {AGAIN}"
    cure = f"ALTER FUNCTION {inside[1]} SET search_path = public (or where it finds its own)"
    return f"{said}: {cure}", f"{cure}, {AGAIN}"


class _NotHereError(UndropError):
    """The dump needs what this user or this server has not got, so that it cannot be tried."""


def restored(
    address: "Address",
    dump: "Path",
    progress: "Progress",
    code: "Sequence[str]",
    less: tuple[str, ...] = load.BARE,
) -> "Content":
    """Load a dump, or what ``less`` (``load.Load``) leaves, into an empty scratch database.

    Nothing is where the ``code`` of those roles must not run there. Returns what is there then.
    Raises UntrustedError, DamagedError, UndropError.
    """
    size = max(1, durable.size(dump))
    loading = load.Load(dump, less=less)
    with session.opened(address, f"restoring {dump.name} into a scratch database") as connection:
        if not address.trusts:
            trust.refuse(connection, code)
        connection.execute("SET synchronous_commit = off")
        try:
            loading.run(connection, lambda done: progress("check", done, size))
            connection.commit()
        except NOT_ALLOWED as error:
            said = " ".join(str(error.diag.message_primary).split())
            if isinstance(error, psycopg.errors.OutOfMemory):
                connection.rollback()
                more = locks.more(session.asker(connection))
                raise _NotHereError(f"no room for so many locks: {more[0]}", *more) from error
            raise _NotHereError(
                f"no scratch database here can take it: {said}",
                Setting('verify-url = "postgresql://HOST/NAME"'),
                ", a server where that can be done, then the same again",
            ) from error
        except load.UNRESOLVED as error:
            raise _NotHereError(*_unresolved(error)) from error
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise DamagedError(f"it cannot be restored: {error}", Action("list")) from error
        session.settle(connection, address.patience)
        return content.read(session.asker(connection), version_table=address.version_table)
