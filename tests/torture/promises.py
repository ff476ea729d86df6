"""What must be true of a project at every instant, and after the next run.

Looked at from another process, in copies: recovery must not touch what the next run finds.
Bytes that were written but not synced are seen here as if they had been: losing power is another
suite's model.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import traced
from forks import Done
from shop import Project, is_a_fault

from undrop import digest, record, settings
from undrop.errors import CheckError, UndropError
from undrop.sqlitefile import header
from undrop.steps import undo
from undrop.store.frame import ENDINGS
from undrop.store.timeline import Timeline

if TYPE_CHECKING:
    from scenes import Scene

OWN = {"restore", "migrate", "reset-db", "nuke-db", "undo", "recover"}
Content = list[str] | None | str
"""A database's SQL; None when there is no file; what is wrong with it."""


def live_files(database: Path) -> list[Path]:
    """The main file, -wal and -journal that there are; a -shm is no content."""
    names = ("", "-wal", "-journal")
    files = [database.with_name(database.name + suffix) for suffix in names]
    return [file for file in files if file.exists()]


def seen(database: Path, aside: Path) -> Content:
    """What an application would find, looked up in a copy: recovery must not touch the scene."""
    if not database.exists():
        return None
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for file in live_files(database):
        shutil.copyfile(file, aside / file.name)
    try:
        with closing(sqlite3.connect(aside / database.name)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchall()
            if found != [("ok",)]:
                return f"integrity_check finds {found[:3]}"
            return list(connection.iterdump())
    except sqlite3.DatabaseError as error:
        return f"SQLite says {error}"


def vaults(project: Project) -> list[Path]:
    """The vaults of this project, also of the one that it was copied from."""
    return list(Path(project.environment["XDG_STATE_HOME"]).glob("undrop/*"))


def unsound_backups(project: Project) -> list[str]:
    """What is wrong with anything that bears a backup's name, in ``backups/`` or in the vault.

    A record must be true of it.
    """
    wrong = unsound_in(project.backups, reserved=True)
    for vault in vaults(project):
        wrong += [f"in the vault {what}" for what in unsound_in(vault, reserved=False)]
    return wrong


def unsound_in(folder: Path, *, reserved: bool) -> list[str]:
    """The same in one folder; where names are ``reserved``, a record comes first, else last."""
    wrong = []
    for path in folder.glob("*.db"):
        note = record.read(path.with_suffix(".json"))
        try:
            header.read(path)
            found = content_or_damage(path)
            if isinstance(found, str):
                wrong.append(f"{path.name}: {found}")
            elif note and digest.of(path) != note.digest:
                wrong.append(f"{path.name}: its digest is not its record's")
        except UndropError as error:
            wrong.append(f"{path.name}: {error.what}")
    for kept in folder.glob("*.damaged"):
        note = record.read(kept.with_suffix(".json"))
        files = {path.name: digest.of(path) for path in kept.iterdir()}
        if (note is None and reserved) or (note and note.files != files):
            wrong.append(f"{kept.name}: its files are not its record's")
    return wrong if reserved else wrong + records_of_nothing(folder)


def records_of_nothing(folder: Path) -> list[str]:
    """Records beside which there is no backup."""
    return [
        f"a record of nothing: {note.name}"
        for note in folder.glob("*.json")
        if record.NAME.fullmatch(note.stem)
        and not any(note.with_suffix(kind).exists() for kind in (*ENDINGS, ".damaged"))
    ]


def content_or_damage(path: Path) -> Content:
    """A backup's content, read where it lies, which must take no -wal or -journal."""
    try:
        uri = f"{path.as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchall()
            return list(connection.iterdump()) if found == [("ok",)] else str(found[:3])
    except sqlite3.DatabaseError as error:
        return str(error)


def is_held(scene: "Scene", project: Project) -> bool:
    """Whether the state before is in ``backups/``: the content, or else the very bytes."""
    if scene.old is None:
        return True
    if isinstance(scene.old, str):
        sets = list(project.backups.glob("*.damaged"))
        return any(_same(scene, folder) for folder in sets)
    backups = [path for path in project.backups.glob("*.db") if path.with_suffix(".json").exists()]
    return any(content_or_damage(path) == scene.old for path in backups)


def _same(scene: "Scene", folder: Path) -> bool:
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    return kept == scene.files


def after_a_kill(scene: "Scene", project: Project) -> list[str]:
    """The promises that hold at every instant."""
    wrong = unsound_backups(project)
    found = seen(project.database, project.root.parent / "aside")
    held = is_held(scene, project)
    live = {file.name: file.read_bytes() for file in live_files(project.database)}
    if isinstance(scene.old, str):  # damage: the same bytes, or kept ones; main file and sidecars
        if not held and live != scene.files:
            wrong.append(f"damaged bytes are lost; live is {sorted(live)}")
        gone = scene.new is None and found is None
        same = live.get(project.database.name) == scene.files[project.database.name]
        if not same and found != scene.new and not gone:
            wrong.append(f"live is neither the damaged file nor the new content: {short(found)}")
        return wrong
    if found not in (scene.old, scene.new):
        wrong.append(f"live is neither old nor new: {short(found)}")
    if found != scene.old and not held:
        wrong.append("the old content is neither live nor in a backup")
    return wrong + undo_is_told(scene, project, found)


def undo_is_told(scene: "Scene", project: Project, found: Content) -> list[str]:
    """The log knows what a killed step did: undo would take back that, or blames it for nothing."""
    [kind] = OWN & {*scene.command} or [""]
    if not kind or not project.backups.is_dir():
        return []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", project.environment["XDG_STATE_HOME"])
        loaded = settings.load(project.root)
        line = Timeline(loaded)
        try:
            plan = undo.planned(loaded, line, undo.look(loaded, line), whole=True)
        except CheckError:
            plan = None
    blamed = plan.taken_back[-1] if plan and plan.taken_back else None
    if found == scene.old:
        killed = blamed is not None and not blamed.ended
        return ["undo blames a step that did nothing"] if killed else []
    # Killed between the main file and its sidecars, nuke-db leaves what looks lost: it comes back.
    if plan is None or (blamed is not None and blamed.kind != kind):
        return [f"undo would not take back {kind}, which was done: {blamed}"]
    backup = plan.target.backup
    target = content_or_damage(backup.path) if backup else None
    return [] if target == scene.old else ["undo would not go back to the old content"]


def after_a_fault(scene: "Scene", project: Project, done: Done) -> list[str]:
    """The promises of a run that a fault troubled and that ended by itself: it tells the truth."""
    wrong = after_a_kill(scene, project) + left_over(project)
    files = {file.name: file.read_bytes() for file in live_files(project.database)}
    found = seen(project.database, project.root.parent / "aside")
    old = files == scene.files or (found == scene.old and not isinstance(found, str))
    if done.code not in range(5):
        wrong.append(f"it ended with {done.code}")
    if is_a_fault(done.err):
        wrong.append("it printed a traceback, or said that the fault is its own")
    if done.code == 0 and found != scene.new:
        wrong.append(f"it ended with 0 and live is {short(found)}")
    if not old and done.code not in {0, 3}:
        wrong.append(f"live is {short(found)} and it ended with {done.code}")
    if done.code in {1, 2, 4} and "was not changed" not in done.err:
        wrong.append(f"it ended with {done.code} and does not say that nothing was changed")
    if done.code == 3 and (old or "was changed" not in done.err):
        wrong.append(f"it ended with 3 and live is {'as it was' if old else 'changed'}")
    return [f"{what} [{done.code}: {done.err[-300:]!r}]" for what in wrong]


def after_the_rerun(scene: "Scene", project: Project) -> list[str]:
    """The same command again succeeds, leaves nothing behind, and a backup holds the old state.

    An undo that was killed when it was done is a step like any other: again is redo. A recover
    finds nothing more to bring back.
    """
    aside = project.root.parent / "aside"
    is_done = seen(project.database, aside) == scene.new
    redo = "undo" in scene.command and is_done
    done = project.run(*traced.python(*scene.command))
    wrong = unsound_backups(project)
    if redo and isinstance(scene.old, str):
        if done.code != CheckError.exit_code:
            wrong.append(f"undo put damage back, or ended with {done.code}: {done.err[-500:]}")
        return wrong + left_over(project)
    code = CheckError.exit_code if "recover" in scene.command and is_done else scene.code
    if done.code != code:
        wrong.append(f"the same command again ended with {done.code}: {done.err[-500:]}")
    if (found := seen(project.database, aside)) != (scene.old if redo else scene.new):
        wrong.append(f"after the same command again live is not the new content: {short(found)}")
    if not redo and not is_held(scene, project):
        wrong.append("after the same command again no backup holds the old content")
    if "recover" in scene.command:
        done = project.run(*traced.python("undrop", "undo"))
        if (found := seen(project.database, aside)) != scene.old:
            wrong.append(f"undone, live is not what it was: {short(found)} [{done.err[-300:]!r}]")
    if scene.new is None:
        wrong += [f"left: {path.name}" for path in project.root.glob(f"{project.database.name}*")]
    for vault in vaults(project):
        wrong += [f"litter in the vault: {path.name}" for path in vault.glob(".*")]
    return wrong + left_over(project)


def left_over(project: Project) -> list[str]:
    """What no command leaves that ended by itself: hidden files, records of nothing."""
    wrong = [f"litter: {name}" for name in project.litter()]
    return wrong + records_of_nothing(project.backups)


def short(found: Content) -> str:
    return found if isinstance(found, str) else "absent" if found is None else f"{len(found)} lines"
