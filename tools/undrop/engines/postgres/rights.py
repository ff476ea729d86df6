"""Owners, grants and publications of a dump, in a scratch database that has its rows already."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg

from undrop.engines.postgres import load, programs, script, session

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.engines.postgres.address import Address

WHOLE = ("--no-tablespaces",)


def give(there: "Address", dump: "Path") -> bool:
    """Have there what loading it bare (``load.BARE``) has left out, as far as the user may.

    Whether all could be given. Raises DamagedError, UndropError.
    """
    ways = [(section, less) for section in ("pre-data", "post-data") for less in (WHOLE, load.BARE)]
    with ThreadPoolExecutor(len(ways)) as threads:  # each waits for a pg_restore
        said = [*threads.map(lambda way: _statements(dump, way[0], *way[1]), ways)]
    left = []
    for whole, bare in (said[:2], said[2:]):
        known = {*bare}
        left += [part for part in whole if part not in known]
    is_whole = True
    with session.opened(there, "giving a copy its owners and grants") as connection:
        try:
            with connection.transaction():  # a savepoint
                connection.execute(b"\n".join(left))
        except psycopg.Error:
            for part in left:
                try:
                    with connection.transaction():
                        connection.execute(part)
                except psycopg.Error:
                    is_whole = False
        connection.commit()
    return is_whole


def _statements(dump: "Path", section: str, *options: str) -> list[bytes]:
    with programs.script(dump, f"--section={section}", *options) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        return list(script.statements(process.stdout.read()))
