"""End the sessions of others, on purpose."""

import time
from typing import TYPE_CHECKING

from undrop.engines.postgres import locks, session

if TYPE_CHECKING:
    from undrop.engines.postgres.address import Address
    from undrop.values import Holder


def disconnect(address: "Address") -> "list[Holder]":
    """End every other client's session in the database; what they had not committed is undone.

    Whose they were. Raises UndropError where this user may not: superusers, members of the
    session's role and of pg_signal_backend may (functions-admin.html, 9.28.2).
    """
    with session.opened(address, "ending the sessions of others", autocommit=True) as connection:
        ask = session.asker(connection)
        there = locks.others(ask)
        for holder in there:
            ask(f"SELECT pg_terminate_backend({holder.pid})")
        ended = {holder.pid for holder in there}
        deadline = time.monotonic() + address.patience
        while time.monotonic() < deadline and ended & {each.pid for each in locks.others(ask)}:
            time.sleep(0.05)
    return there
