"""Bring back what live lacks from a state that a backup holds; everything else in it stays."""

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from undrop.compare import losses, recovery
from undrop.compare.merge import Sources
from undrop.compare.structure import fold
from undrop.compare.wishes import Request, Wish
from undrop.engines import registry
from undrop.errors import CheckError, UndropError, UsageError
from undrop.recipes import Action
from undrop.steps import backup, choose, guarded, live, verify
from undrop.store import unpacked
from undrop.store.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from undrop.compare.comparison import Comparison
    from undrop.compare.losses import Loss
    from undrop.compare.merge import Conflict, Merge, Sides
    from undrop.compare.recoverer import Along
    from undrop.compare.recovery import Recovery
    from undrop.engines.protocol import Merged
    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock

PATIENCE = 20.0  # seconds in which older states are looked at
NEAR = 2  # states
KINDS = ("rows", "table")
"""What a name may begin with (``losses.Loss.name``)."""


class Held(NamedTuple):
    """A state, and what of it live lacks."""

    backup: "Backup"
    comparison: "Comparison"
    """From it to live."""

    @property
    def lacking(self) -> "list[Loss]":
        """Rows, values and tables."""
        return losses.lacking(self.comparison)

    @property
    def missing(self) -> dict[str, int]:
        """How many of those live has nothing else for, by name."""
        return losses.missing(self.comparison)


class Looked(NamedTuple):
    """What live lacks."""

    held: Held | None
    """The newest state with rows or values that are gone, else with other ones; None for none."""
    older: "list[tuple[Backup, dict[str, int]]]"
    """Older states that hold more of something, and how much of what."""
    unread: list[str]
    """Backups that could not be compared."""
    left: int
    """How many were not looked at: it took too long."""


class Recovered(NamedTuple):
    """What came back."""

    source: "Backup"
    counts: dict[str, dict[str, int]]
    """Rows that were ``put`` in, and to ``change``, by table."""
    conflicts: "list[Conflict]"
    """What was left as it is in live."""
    parents: "list[Along]"
    children: "list[Along]"
    new_keys: dict[str, dict[int, int]]
    """By table, the keys that rows had in the backup, and those that they have now."""
    set_aside: list[str]
    """Triggers that did not run."""
    into: tuple[str, int]
    """The table of its own that rows went into, and how many; empty for none."""
    change: guarded.Change | None
    """None where nothing was changed."""
    instead: str = ""
    """What is said where the second of the backup's two files was taken."""

    @property
    def does(self) -> bool:
        """Whether anything comes back."""
        return bool(self.into[0]) or any(any(each.values()) for each in self.counts.values())


def look(settings: "Settings", source: "Backup | None") -> Looked:
    """What live lacks of ``source``, or else of the newest state that has something it lacks.

    Raises UsageError where there is no live database, or no backup, UndropError where no state
    could be compared: then nothing is known of what live lacks.
    """
    _require_live(settings)
    if source:
        held = Held(source, live.compare(settings, unpacked.plain(settings, source)))
        return Looked(held if held.lacking else None, [], [], 0)
    first: Held | None = None
    overwritten: Held | None = None
    older: list[tuple[Backup, dict[str, int]]] = []
    most: dict[str, int] = {}
    states = _States(settings, lambda path: live.compare(settings, path))
    if not states.candidates:
        raise _none(settings)
    for state in states:
        missing = state.missing
        overwritten = overwritten or (state if state.lacking else None)
        more = {name: count for name, count in missing.items() if count > most.get(name, 0)}
        if first and more:
            older.append((state.backup, more))
        first = first or (state if missing else None)
        most |= more
    if states.problem and not states.compared:
        raise states.problem
    return Looked(first or overwritten, older, states.unread, states.left)


class _States:
    """Every state that is held, the newest first, compared with live."""

    def __init__(self, settings: "Settings", compare: "Callable[[Path], Comparison]") -> None:
        self.settings, self.compare = settings, compare
        self.candidates = held(settings)
        self.unread: list[str] = []
        self.problem: UndropError | None = None
        """Why the newest of them could not be compared."""
        self.compared = 0
        self.left = 0

    def __iter__(self) -> "Iterator[Held]":
        began = time.monotonic()
        for at, candidate in enumerate(self.candidates):
            if time.monotonic() - began > PATIENCE:
                self.left = len(self.candidates) - at
                return
            try:
                state = Held(candidate, self.compare(unpacked.plain(self.settings, candidate)))
            except UsageError:
                raise
            except UndropError as error:  # its own collation, damage
                self.unread.append(candidate.path.name)
                self.problem = self.problem or error
                continue
            self.compared += 1
            yield state


def held(settings: "Settings") -> "list[Backup]":
    """A verified backup for each state of this database, that which was seen last first."""
    seen: set[str] = set()
    found = []
    for moment in reversed(Timeline(settings, strangers=True).moments):
        if moment.backup and moment.can_be_put_back and moment.content not in seen:
            seen.add(moment.content)
            found.append(moment.backup)
    return found


def find(settings: "Settings", present: "Path", names: "list[str]", request: Request) -> "Backup":
    """The newest state that lacks nothing of what live, held by ``present``, lost of ``names``.

    Where nothing of it is gone, the newest with other values in it. Raises UsageError where no
    state has such a table or column, CheckError where nothing of it is lost.
    """
    best: Backup | None = None
    known = False
    differs: Backup | None = None
    most = 0
    unknown: UsageError | None = None
    problem: UsageError | None = None
    states = _States(settings, lambda path: settings.engine.compare(path, present))
    for state in states:
        try:
            wanted = wishes(state.comparison, names)
        except UsageError as error:
            unknown = unknown or error
            continue
        known = True
        lacking = [each.name for each in state.lacking if _is_wished(each.name, wanted)]
        if lacking and (request.keys or request.where) and settings.engine.light:
            asked = request._replace(wishes=wanted, source=state.backup.path.name)
            try:
                plain = unpacked.plain(settings, state.backup)
                lost, other = recovery.lost(plain, present, state.comparison, asked)
            except UsageError as error:  # a column that it has not, for one
                problem = problem or error
                continue
            lacking = lacking if lost or other else []
        else:
            missing = state.missing
            lost = sum(missing.get(name, 0) for name in lacking)
        tables = {wish.table for wish in wanted if wish.rows}
        may_be_others = any(fold(c.name) in tables and c.changed for c in state.comparison.tables)
        differs = differs or (state.backup if lacking or may_be_others else None)
        if lost > most:
            best, most = state.backup, lost
    if found := best or differs:
        return found
    if problem:
        raise problem
    if states.problem and not states.compared:
        raise states.problem
    if not known:
        raise unknown or _none(settings)
    raise _nothing(names, request)


def _nothing(names: "list[str]", request: Request) -> CheckError:
    which = [f"--key {','.join(request.keys)}"] if request.keys else []
    which += [f"--where {request.where}"] if request.where else []
    of = " ".join([", ".join(names), *which])
    return CheckError(f"live lacks nothing of {of} that a backup holds", Action("recover"))


def _none(settings: "Settings") -> UsageError:
    return UsageError(f"there is no verified backup in {settings.backups}", Action("backup"))


def chosen(settings: "Settings", wanted: str, standing: "Path") -> "Backup":
    """The backup that a user named. Raises UsageError, CheckError."""
    source = choose.find(settings, wanted, standing)
    if registry.of_backup(settings.engine, source.path) is not settings.engine:
        raise UsageError(
            f"{source.path.name} is a backup of another engine than {settings.engine.label}",
            Action("list"),
        )
    return verify.whole(settings, source)[0]


def wishes(comparison: "Comparison", names: "Iterable[str]") -> tuple[Wish, ...]:
    """What is meant by names as the loss report has them, or by a table's. Raises UsageError."""
    return tuple(_wish(comparison, name) for name in names)


def _wish(comparison: "Comparison", name: str) -> Wish:
    tables = comparison.structure_before.tables
    said = {fold(change.name): fold(change.name) for change in comparison.tables if change.name}
    kept = [change for change in comparison.tables if change.name and change.now]
    said |= {fold(c.now): fold(c.name) for c in kept if fold(c.now) not in said}
    kind, _, rest = name.partition(" ")
    if fold(name) in said:
        return Wish(said[fold(name)], rows=True, columns=None)
    if kind in KINDS and fold(rest) in said:
        table = said[fold(rest)]
        return Wish(table, rows=True, columns=None if kind == "table" else frozenset())
    for table, own in said.items():
        column = fold(name).removeprefix(f"{table}.")
        if column != fold(name):
            renamed = {
                fold(new): fold(old)
                for change in comparison.tables
                if fold(change.name) == own
                for old, new in change.renamed
            }
            column = renamed.get(column, column)
            if column in tables[own].columns:
                return Wish(own, columns=frozenset({column}))
    names = ", ".join(sorted(table.name for table in tables.values())[:12])
    raise UsageError(f"there is no {name!r} in that state; its tables: {names}", Action("recover"))


def _is_wished(name: str, wanted: tuple[Wish, ...]) -> bool:
    """Whether the loss of that name is."""
    for wish in wanted:
        if fold(name) in {f"rows {wish.table}", f"table {wish.table}"} and wish.rows:
            return True
        table, _, column = fold(name).rpartition(".")
        if table == wish.table and (wish.columns is None or column in wish.columns):
            return True
    return False


def recover(
    lock: "Lock",
    source: "Backup | None",
    names: "list[str]",
    request: Request,
    *,
    try_only: bool = False,
) -> Recovered:
    """Bring back what was named, and what it needs; what cannot come back is left as it is.

    Without a ``source``, from the state that ``find`` finds. Raises UsageError, CheckError,
    UndropError with live as it was, ChangedError as ``restore``.
    """
    settings = lock.settings
    _require_live(settings)
    done: Recovered | None = None

    def change(attempt: guarded.Attempt) -> guarded.Outcome | None:
        nonlocal done, source
        worked: list[Recovery] = []
        assert attempt.state.path  # noqa: S101 - no damaged database comes so far
        source = source or find(settings, attempt.state.path, names, request)
        whole, instead = verify.whole(settings, source)
        later = _later(settings, source, request, stack)

        def work_out(sides: "Sides") -> "Merge":
            wanted = request._replace(
                wishes=wishes(sides.to_theirs, names), source=source.path.name, later=later
            )
            worked.append(recovery.work_out(sides, wanted))
            return worked[0].merge

        sources = Sources(None, None, unpacked.plain(settings, whole))
        with settings.engine.merge(
            attempt.state, sources, work_out, triggers=request.triggers
        ) as merged:
            done = _recovered(source, merged, worked[-1], request, instead)
            if not (done.does or done.conflicts):
                raise _nothing(names, request)
            if try_only or not done.does:
                return None
            filled = sorted({*merged.facts.filled, *_shrunk(attempt)})
            seconds = attempt.put_in_place(merged)
            after = backup.after(lock, attempt.state, merged, filled)
            return guarded.Outcome(seconds, filled, after, note=merged.note)

    with ExitStack() as stack:
        changed = guarded.run(lock, "recover", change)
    assert done is not None  # noqa: S101 - a change was made of it
    return done._replace(change=changed) if done.does and not try_only else done


def _require_live(settings: "Settings") -> None:
    if not settings.engine.exists():
        raise UsageError("there is no live database", Action("restore", "latest"))


def _recovered(
    source: "Backup", merged: "Merged", worked: "Recovery", request: Request, instead: str
) -> Recovered:
    conflicts, new_keys = [], {name: dict(keys) for name, keys in worked.new_keys.items()}
    for conflict in merged.conflicts:  # a row that was refused is known by the key that it had
        values = [*conflict.key.items()]
        given = new_keys.get(conflict.table, {})
        if len(values) == 1 and values[0][1] in given:
            known: dict[str, object] = {values[0][0]: given.pop(int(str(values[0][1])))}
            conflicts.append(conflict._replace(key=known))
        else:
            conflicts.append(conflict)
    return Recovered(
        source,
        merged.counts,
        conflicts,
        worked.parents,
        worked.children,
        {t: {old: new for new, old in keys.items()} for t, keys in new_keys.items() if keys},
        merged.set_aside,
        (request.into, worked.into_rows) if worked.merge.into else ("", 0),
        None,
        instead,
    )


def _shrunk(attempt: guarded.Attempt) -> set[str]:
    """What an earlier backup misses is missed still."""
    return set(attempt.state.record.shrunk if attempt.state.record else ())


def _later(
    settings: "Settings", source: "Backup", request: Request, stack: ExitStack
) -> "tuple[Path, ...]":
    """The next states after it, and the newest: what they lack was gone in between.

    Where that is a heavy look, it is for what came back before alone: ``Request.children``.
    """
    if not (settings.engine.light or request.children):
        return ()
    newer = []
    for candidate in held(settings):
        if source.record and candidate.record and candidate.record.state == source.record.state:
            break
        newer.append(candidate)
    else:
        return ()
    chosen = dict.fromkeys(range(len(newer))[:NEAR]) | dict.fromkeys(range(len(newer))[-NEAR:])
    files = (unpacked.plain(settings, newer[at]) for at in chosen)
    if settings.engine.light:
        return tuple(files)
    return tuple(stack.enter_context(settings.engine.readable(path)).path for path in files)
