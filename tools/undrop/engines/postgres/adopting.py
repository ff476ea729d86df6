"""What ``undrop init`` asks about a project whose database is PostgreSQL."""

from collections.abc import Collection
from pathlib import Path

from undrop.engines.postgres.address import SECRETS, parse

DRIVERS = ("postgresql", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg")


def probes(mark: str) -> list[str]:
    """URLs that no project has, one for each driver, with ``mark`` in them."""
    return [f"{driver}://nowhere.invalid/{mark}" for driver in DRIVERS]


def settled(url: str, _home: Path, _root: Path) -> str:
    """The same URL without its password: what is written down is committed. Raises UsageError."""
    from sqlalchemy.engine import make_url

    parse(url)
    found = make_url(url)
    secrets = [name for name in found.query if name in SECRETS]
    plain = found.difference_update_query(secrets)._replace(password=None)
    return plain.render_as_string(hide_password=False)


def seen(_root: Path, _apart: Collection[Path]) -> dict[Path, str]:
    """None: a server's databases lie in no project."""
    return {}


def copied(_live: Path | None, _folder: str) -> tuple[str, str]:
    """None: that would need the right to make databases."""
    return "", ""
