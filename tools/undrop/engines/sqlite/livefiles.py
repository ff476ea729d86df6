"""The live database's files: give one to it where none is usable, take them away."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from undrop import durable
from undrop.engines.sqlite import workcopy
from undrop.engines.sqlite.snapshot import Snapshot
from undrop.errors import ChangedError, LiveMovedError, UndropError
from undrop.recipes import Action
from undrop.sqlitefile import connect, holders
from undrop.values import Session


def with_content(live: Path) -> list[Path]:
    """The live file and the sidecars that hold content, those that there are."""
    wal, _shm, journal = durable.sidecars(live)  # a -shm is an index, not content
    return [file for file in (live, wal, journal) if file.is_file()]


def install(work: Path, live: Path, session: Session, *, damaged: bool) -> None:
    """Give a finished work copy the name of a ``damaged`` live database, or of none at all.

    A damaged one's sidecars go first: they would be replayed over the new file. Raises
    LiveMovedError when there is a database after all, UndropError while somebody has the damaged
    one open (what they commit would be in no file), ChangedError when it fails half way.
    """
    durable.sync_path(work)
    if damaged:
        refuse_while_open(live)
        with _past_return(live, session):
            for sidecar in durable.sidecars(live):
                sidecar.unlink(missing_ok=True)
            durable.sync_path(live.parent)
            work.rename(live)
            durable.sync_path(live.parent)
    else:
        with _past_return(live, session):
            _rename_to_nothing(work, live)
            durable.sync_path(live.parent)


def refuse_while_open(live: Path, file: Path | None = None) -> None:
    """Raise UndropError, naming them, while other programs have the database open.

    ``file`` is where it is, if it is not at its place.
    """
    if who := holders.describe(file or live):
        raise UndropError(f"{live} is open{who}", "close that program, then the same command again")


def _rename_to_nothing(work: Path, live: Path) -> None:
    """Rename, but never over a database that somebody made meanwhile."""
    try:
        try:
            os.link(work, live)
            work.unlink()
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}:
                raise
            os.close(durable.create(live, 0o600))  # a file system without hard links
            work.rename(live)
    except FileExistsError:
        raise LiveMovedError(f"{live} has just appeared", "the same command again") from None


@contextmanager
def _past_return(live: Path, session: Session) -> Iterator[None]:
    """Raise ChangedError for what fails inside, unless it was the very first file that failed."""
    seen = _present(live)
    try:
        yield
        session.changed = True
    except LiveMovedError:
        raise  # what is there now is somebody else's work
    except BaseException as error:
        if _present(live) == seen:
            raise
        session.changed = True
        raise ChangedError(
            f"changing the files of {live} failed half way: {error!r}",
            "the same command again, or",
            Action("restore", "latest"),
        ) from error


def _present(live: Path) -> set[tuple[str, int]]:
    """Which of a database's files there are, and which they are."""
    files = (live, *durable.sidecars(live))
    return {(file.name, file.lstat().st_ino) for file in files if os.path.lexists(file)}


def remove(snapshot: Snapshot) -> None:
    """Unlink the live database and its sidecars, if it is what ``snapshot`` saw.

    It loses its name first, so that nobody can open it any more, and gets that back where somebody
    had opened it in the last moment: what they commit would be in no file. The main file goes
    before its sidecars: a kill in between leaves left-overs, never a file that lost the commits in
    its -wal. Raises LiveMovedError, UndropError with nothing changed.
    """
    path = snapshot.path
    refuse_while_open(path)
    snapshot.release()
    aside = workcopy.beside(path)
    with connect.explained(path, "locking the database to remove it", snapshot.session.patience):
        connection = connect.connect(path, "rw")
        try:
            connect.begin(connection, snapshot.session.patience, "BEGIN EXCLUSIVE")
            if not snapshot.unchanged():
                raise LiveMovedError(
                    "somebody wrote to the database", "the same again", writes=snapshot.writes()
                )
            with _past_return(path, snapshot.session):
                path.rename(aside)
                try:
                    refuse_while_open(path, aside)
                except BaseException:
                    _rename_to_nothing(aside, path)
                    raise
                aside.unlink()
                unlink(path, snapshot.session)
        finally:
            connection.close()


def unlink(live: Path, session: Session) -> None:
    """Remove what there is of a database, main file first. Raises ChangedError half way."""
    with _past_return(live, session):
        live.unlink(missing_ok=True)
        durable.sync_path(live.parent)  # a loss of power must not undo this and keep what follows
        for sidecar in durable.sidecars(live):
            sidecar.unlink(missing_ok=True)
        durable.sync_path(live.parent)
