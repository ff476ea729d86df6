"""Put a backup back, or take the database away."""

from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop.engines import registry
from undrop.errors import CheckError, DamagedError, UndropError, UsageError
from undrop.migrations import revisions
from undrop.recipes import Action
from undrop.settings import known
from undrop.steps import backup, guarded, live, verify
from undrop.store import catalog, unpacked
from undrop.store.log import ABSENT, After

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.compare.comparison import Comparison
    from undrop.engines.protocol import Replacement
    from undrop.recipes import Part
    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock
    from undrop.values import Facts


class Restored(NamedTuple):
    """What was put in place, and what it replaced."""

    source: Path
    revisions: list[str]
    """Alembic's revision(s) of the restored schema."""
    change: guarded.Change


class ForeignError(CheckError):
    """What is to be put back may be another application's."""

    def __init__(self, path: Path, why: str, *own: "Part", trust: bool = False) -> None:
        super().__init__(
            f"{path} may be another application's: {why}",
            *own,
            "if it is meant,",
            Action("restore", str(path), "--foreign", "--trust")
            if trust
            else Action("restore", str(path), "--foreign"),
        )
        self.why = why


def restore(lock: "Lock", chosen: "Backup", *, foreign: bool = False) -> Restored:
    """Make ``chosen`` the live content.

    ``foreign``: also what may be another application's. Raises UsageError, CheckError or
    UndropError with the live database as it was, ChangedError when something failed afterwards.
    """
    settings = lock.settings
    with admitted(settings, chosen, foreign=foreign) as content:
        done = guarded.run(lock, "restore", lambda attempt: replace(attempt, chosen, content))
        return Restored(chosen.path, content.facts.revisions, done)


def cost(settings: "Settings", chosen: "Backup", *, foreign: bool = False) -> "Comparison | None":
    """What became of ``chosen`` until now: what putting it back would take away, and bring.

    None where that cannot be told. Raises CheckError, as ``restore`` does.
    """
    facts = verify.verify(settings, chosen)
    if not foreign:
        _refuse_foreign(settings, chosen, facts)
    if not (settings.engine.light and settings.engine.exists()):
        return None
    try:
        return live.compare(settings, unpacked.plain(settings, chosen))
    except UndropError:  # a damaged database, an application's own collation
        return None


def replace(attempt: guarded.Attempt, chosen: "Backup", content: "Replacement") -> guarded.Outcome:
    """Put ``content``, which is ``chosen``, in place of the state of that attempt."""
    state, record = attempt.state, chosen.record
    seconds = attempt.put_in_place(content)
    facts = content.facts
    filled = sorted({*facts.filled, *(record.shrunk if record else ())})
    known = facts.content or facts.digest
    content_before = state.record.state if state.snapshot and state.record else ""
    kept = (
        record is not None
        and record.state == known
        and catalog.is_of(attempt.lock.settings, chosen)
        and catalog.is_inside(attempt.lock.settings, chosen.path)
    )
    after = (
        After(chosen.path.name, known)
        if kept
        else backup.after(attempt.lock, state, content, filled)
    )
    return guarded.Outcome(seconds, filled, after, content_before == known, content.note)


@contextmanager
def admitted(
    settings: "Settings", chosen: "Backup", *, foreign: bool = False
) -> "Iterator[Replacement]":
    """``chosen``, checked, to be put in place. Raises UsageError, CheckError, UndropError."""
    refuse_unfit(settings, chosen)
    with _checked(settings, chosen) as content:
        if not foreign:
            _refuse_foreign(settings, chosen, content.facts)
        yield content


def refuse_unfit(settings: "Settings", chosen: "Backup") -> None:
    """What is told without reading it whole. Raises UsageError, CheckError."""
    path = chosen.path
    if not chosen.file.exists():
        raise UsageError(f"{path} is not there", Action("list"))
    if registry.of_backup(settings.engine, path) is not settings.engine:
        raise UsageError(
            f"{path.name} is a backup of another engine than {settings.engine.label}",
            Action("list"),
            "; to restore it, let the URL name a database of its kind",
        )
    if chosen.is_set:
        raise CheckError(f"{path.name} is a set of damaged files, no backup", Action("list"))
    try:
        settings.engine.refuse_unfit(unpacked.plain(settings, chosen))
    except DamagedError as damage:
        raise CheckError(f"{path} is damaged: {damage.what}", Action("list")) from damage


def _refuse_foreign(settings: "Settings", chosen: "Backup", facts: "Facts") -> None:
    """Refuse what is not this database's: anybody's file, a backup of another one. Raises it."""
    path, record = chosen.path, chosen.record
    ours = [b for b in catalog.backups(settings) if b.verified and catalog.is_of(settings, b)]
    why = ""
    own: tuple[Part, ...] = ()
    if record is not None and not catalog.is_of(settings, chosen):
        if catalog.has_moved(settings, chosen):
            return
        why = f"it is a backup of {record.source}, not of {settings.source}"
        named = (each.name for each in known(settings) if each.source == record.source)
        for name in named:
            own = (Action("restore", path.name).of_database(name), "puts it there;")
    elif record is None:
        if strange := revisions.unknown(settings, facts.revisions):
            why = f"its revision {', '.join(strange)} is unknown to this project's migrations"
        elif ours and ours[-1].record and facts.application_id != ours[-1].record.application_id:
            wanted = ours[-1].record.application_id
            why = f"it has application_id {facts.application_id}, this project's database {wanted}"
        elif not facts.revisions and not _shares_a_table(settings, path, ours):
            why = "it has no revision, and no table that this project's database has"
    if why:
        raise ForeignError(path, why, *own, trust=settings.engine.session.trust_file)


def _shares_a_table(settings: "Settings", path: Path, ours: "list[Backup]") -> bool:
    """Whether the live database or its newest backup has a table of that file's; yes if neither."""
    engine = settings.engine
    known = {*engine.rows(unpacked.plain(settings, ours[-1]))} if ours else set()
    with suppress(UndropError):  # it is damaged, or somebody has locked it
        known |= set(engine.tables())
    return not known or not known.isdisjoint(engine.rows(path))


@contextmanager
def _checked(settings: "Settings", chosen: "Backup") -> "Iterator[Replacement]":
    """The chosen backup, checked, where nobody can change it any more: ``backups/`` or a copy."""
    path = chosen.path
    inside = catalog.is_inside(settings, path)
    with ExitStack() as stack:
        try:
            record = chosen.record
            if record and not inside:  # anybody's: it decides no mode and no owner
                record = record._replace(mode="", uid=-1, gid=-1)
            plain = unpacked.plain(settings, chosen)
            own = inside or plain != path
            content = stack.enter_context(settings.engine.admit(plain, record, ours=own))
        except DamagedError as damage:
            raise CheckError(f"{path} is damaged: {damage.what}", Action("list")) from damage
        verify.refuse_changed(chosen, content.facts)
        yield content


def nuke(lock: "Lock") -> guarded.Change:
    """Remove the live database, once a verified backup holds it.

    Raises UndropError while another program has it open.
    """
    lock.settings.engine.refuse_while_open()
    # Who waits for the lock has the database open, and it stays then.
    return guarded.run(lock, "nuke-db", remove, hold=False)


def remove(attempt: guarded.Attempt) -> guarded.Outcome | None:
    """Take the live database away; None when there was none."""
    engine = attempt.lock.settings.engine
    gone = engine.remove(attempt.state, attempt.changing(ABSENT))
    return guarded.Outcome(0.0, [], After("", ABSENT)) if gone else None
