"""End the sessions of others, on purpose."""

from typing import TYPE_CHECKING

from undrop.postgres import session

if TYPE_CHECKING:
    from undrop.engine import Holder
    from undrop.postgres.address import Address


def disconnect(address: "Address") -> "list[Holder]":
    """End every other client's session in the database; what they had not committed is undone.

    Whose they were. Raises UndropError where this user may not (postgresql.org/docs/current/
    functions-admin.html, 9.28.2: the role's own members may, and superusers).
    """
    there = session.holders(address)
    with session.opened(address, "ending the sessions of others", autocommit=True) as connection:
        for holder in there:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", [holder.pid])
    return there
