"""Put a backup back, or take the database away."""

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop.engines import registry
from undrop.errors import CheckError, DamagedError, UsageError
from undrop.migrations import revisions
from undrop.recipes import Action
from undrop.steps import guarded
from undrop.store import catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.engines.protocol import Replacement
    from undrop.settings import Settings
    from undrop.steps.backup import State
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock
    from undrop.values import Facts


class Restored(NamedTuple):
    """What was put in place, and what it replaced."""

    source: Path
    revisions: list[str]
    """Alembic's revision(s) of the restored schema."""
    change: guarded.Change


def restore(lock: "Lock", wanted: str, standing: Path) -> Restored:
    """Make ``wanted`` the live content: a path from ``standing``, a name, or ``latest``.

    Raises UsageError, CheckError or UndropError with the live database as it was,
    ChangedError when something failed afterwards.
    """
    return put_back(lock, catalog.find(lock.settings, wanted, standing), "restore")


def put_back(
    lock: "Lock",
    chosen: "Backup",
    kind: str,
    first: "Callable[[State], None]" = lambda _state: None,
) -> Restored:
    """Make ``chosen`` the live content, as a step of that ``kind``.

    ``first`` is shown the covered state before that is replaced. Raises as ``restore`` does.
    """
    settings = lock.settings
    if not chosen.path.exists():
        raise UsageError(f"{chosen.path} is not there", Action("list"))
    if registry.of_backup(settings.engine, chosen.path) is not settings.engine:
        raise UsageError(
            f"{chosen.path.name} is a backup of another engine than {settings.engine.label}",
            Action("list"),
            "; to restore it, let the URL name a database of its kind",
        )
    settings.engine.refuse_unfit(chosen.path)
    with _checked(settings, chosen) as content:
        record, facts = chosen.record, content.facts
        if record is None or not catalog.is_of(settings, chosen):
            _refuse_another_application(settings, chosen.path, facts)
        filled = sorted({*facts.filled, *(record.shrunk if record else ())})

        def change(state: "State") -> guarded.Outcome:
            first(state)
            seconds = content.replace_live(state, guarded.logged(lock, state))
            known = facts.content or facts.digest
            content_before = state.record.state if state.snapshot and state.record else ""
            return guarded.Outcome(seconds, filled, content_before == known)

        done = guarded.run(lock, kind, change)
        return Restored(chosen.path, facts.revisions, done)


def _refuse_another_application(settings: "Settings", path: Path, facts: "Facts") -> None:
    """A file that no record of ours vouches for may be anybody's."""
    known = revisions.revisions(settings)
    strange = [each for each in facts.revisions if known is not None and each not in known]
    if strange:
        raise CheckError(
            f"{path} is at revision {', '.join(strange)}, unknown to this project's migrations: "
            "it is another application's",
            Action("list"),
        )
    wanted = next(
        (
            each.record.application_id
            for each in reversed(catalog.backups(settings))
            if each.record and each.verified and catalog.is_of(settings, each)
        ),
        facts.application_id,
    )
    if facts.application_id != wanted:
        raise CheckError(
            f"{path} has application_id {facts.application_id}, this project's database {wanted}",
            Action("list"),
        )


def verify(settings: "Settings", chosen: "Backup") -> "Facts":
    """Prove that a backup is whole, and what its record says.

    Raises CheckError when it is not, or is a set of damaged files.
    """
    path, record = chosen.path, chosen.record
    if chosen.is_set:
        raise CheckError(f"{path.name} is a set of damaged files, no backup", Action("list"))
    try:
        facts = registry.of_backup(settings.engine, path, settings.verify_url).check(path, record)
    except DamagedError as damage:
        raise CheckError(f"{path} is damaged: {damage.what}", Action("list")) from damage
    _refuse_changed(chosen, facts)
    return facts


def _refuse_changed(chosen: "Backup", facts: "Facts") -> None:
    if chosen.record is not None and chosen.record.digest != facts.digest:
        raise CheckError(
            f"{chosen.path} is not what its record says: the digest differs, it was changed",
            Action("list"),
        )


@contextmanager
def _checked(settings: "Settings", chosen: "Backup") -> "Iterator[Replacement]":
    """The chosen backup, checked, where nobody can change it any more: ``backups/`` or a copy."""
    path = chosen.path
    if chosen.is_set:
        raise CheckError(f"{path.name} is a set of damaged files, no backup", Action("list"))
    ours = (settings.backups, settings.vault_folder)
    inside = any(folder and path.parent.resolve() == folder.resolve() for folder in ours)
    with ExitStack() as stack:
        try:
            content = stack.enter_context(settings.engine.admit(path, chosen.record, ours=inside))
        except DamagedError as damage:
            raise CheckError(f"{path} is damaged: {damage.what}", Action("list")) from damage
        _refuse_changed(chosen, content.facts)
        yield content


def nuke(lock: "Lock", kind: str = "nuke-db") -> guarded.Change:
    """Remove the live database, once a verified backup holds it.

    It is written down as a step of that ``kind``. Raises UndropError while another program has
    it open.
    """
    engine = lock.settings.engine
    engine.refuse_while_open()

    def change(state: "State") -> guarded.Outcome | None:
        gone = engine.remove(state, guarded.logged(lock, state))
        return guarded.Outcome(0.0, []) if gone else None

    return guarded.run(lock, kind, change)
