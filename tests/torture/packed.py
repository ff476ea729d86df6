"""Small projects with packed backups, and what must be true of those at every instant."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import inside
import pytest
import scenes
import traced
from forks import Done
from promises import left_over, vaults
from shop import Project, make

from undrop import record, settings
from undrop.errors import UndropError
from undrop.settings import Settings
from undrop.steps import backup, pack, thin
from undrop.store import catalog, unpacked

ROWS = 60  # of 90 bytes: three pages
SECRETS = {0: "the first one's secret", 10: "the tenth one's secret"}
"""What the state with that number has and no other one."""
AGAIN, MINE = 9, 4
"""The states that have a second name, and a reason of a person's own."""


class Scene(NamedTuple):
    """A project, what is done in it, and the bytes of every backup by name before that."""

    project: Project
    command: list[str]
    bytes: dict[str, bytes]
    gone: set[str]
    """The names that are to go."""
    secrets: list[str]
    """What only those have."""

    def at(self, project: Project) -> "Scene":
        """The same in a copy of the project."""
        return self._replace(project=project)


def make_scene(folder: Path, words: str, *, links: bool = True) -> Scene:
    """A project by what is done in it.

    ``pack``: four are to be packed, of which one has two names, and one against a packed one.
    ``forget N``: the state with that number, which others are packed against.
    ``thin``: the older half goes, among it what others are packed against.
    ``backup``: one is to be packed once that has answered.

    Without ``links`` the vault has copies.
    """
    (folder / "shop").mkdir(parents=True)
    project = Project(folder / "shop")
    (project.root / "alembic.ini").unlink()  # undrop would load Alembic to name the code's head
    project.environment["PYTHONHASHSEED"] = "0"  # a run's calls are those that were recorded
    what, _, number = words.partition(" ")
    make(project.database, ROWS)
    known: dict[str, bytes] = {}
    with environment(project), pytest.MonkeyPatch.context() as patch:
        if not links:
            patch.setattr(os, "link", _no_link)
        for at in range(16):
            _change(project, at)
            mine = at == MINE
            _kept(known, inside.back_up(project, "mine" if mine else "", "" if mine else "agent"))
            if at == AGAIN:
                with inside.command(project) as lock:
                    again = backup.take(lock, backup.Purpose("again", "agent", fresh=True))
                assert again
                _kept(known, again.path)
            if at == (11 if what == "pack" else 15):
                with inside.command(project) as lock:
                    pack.pack(lock)
        if what == "backup":
            _change(project, 99)
        gone = _going(project, what, number)
    going = [*gone.values()] if what == "forget" else ["--yes"] if what == "thin" else []
    secrets = [text for at, text in SECRETS.items() if gone.get(at)]
    return Scene(project, ["undrop", what, *going], known, {*gone.values()}, secrets)


def _going(project: Project, what: str, number: str) -> dict[int, str]:
    """The backups that are to go, by their numbers."""
    numbers = {
        unpacked.packing(each.record).number: each.path.name
        for each in catalog.backups(settings.load(project.root))
    }
    if what != "thin":
        return {int(number): numbers[int(number)]} if number else {}
    toml = project.root / "pyproject.toml"
    toml.write_text(f"{toml.read_text()}\n[tool.undrop.keep]\nagent = '9 last'\n")
    names = {each.backup.path.name for each in thin.planned(settings.load(project.root), [])}
    going = {at: name for at, name in numbers.items() if name in names}
    assert len(going) == len(names) == 7
    return going


def _change(project: Project, at: int) -> None:
    text = SECRETS.get(at - (at > MINE), f"state {at}")
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        with connection:
            connection.execute("UPDATE t SET v = ? WHERE id = 7", (text.ljust(90),))


def _no_link(*_names: object, **_options: object) -> None:
    raise OSError(errno.EXDEV, "another file system")


def _kept(known: dict[str, bytes], path: Path) -> None:
    known[path.name] = path.read_bytes()


@contextmanager
def environment(project: Project) -> Iterator[None]:
    """The project's state folder for what this process does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", project.environment["XDG_STATE_HOME"])
        yield


def copied(scene: Scene, to: Path) -> Scene:
    """The scene in a copy of its project, with its vault and a temporary folder of its own."""
    project = scenes.copied(scene.project, to)
    [vault] = vaults(project)
    with environment(project):
        ours = settings.load(project.root).vault_folder
    assert ours
    vault.rename(ours)
    return scene.at(with_temporary(project))


def with_temporary(project: Project) -> Project:
    """It, with a temporary folder of its own beside it."""
    temporary = project.root.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    project.environment["TMPDIR"] = str(temporary)
    return project


def lost(scene: Scene) -> list[str]:
    """What cannot be had of what had a name: as it is, of ``backups/`` alone, of the vault alone.

    But for the one that is to be forgotten.
    """
    project = scene.project
    wrong = _lost(scene, "")
    [vault] = [each for each in vaults(project) if any(each.glob("*.json"))]
    for folder, what in ((vault, "without the vault"), (project.backups, "of the vault alone")):
        aside = project.root.parent / "aside"
        folder.rename(aside)
        try:
            wrong += _lost(scene, f", {what}")
        finally:
            if folder.exists():
                shutil.rmtree(folder)
            aside.rename(folder)
    return wrong


def _lost(scene: Scene, where: str) -> list[str]:
    wrong = []
    with environment(scene.project):
        loaded = settings.load(scene.project.root)
        known = catalog.backups(loaded)
        names = [each.path.name for each in known]
        wrong += [f"{name} is listed twice" for name in {*names} if names.count(name) > 1]
        by_name = dict(zip(names, known, strict=True))
        with closing(loaded.engine.session):
            for name, data in scene.bytes.items():
                if name in scene.gone:
                    continue
                if name not in by_name:
                    wrong.append(f"{name} is not listed{where}")
                elif (why := _unlike(loaded, by_name[name], data)) is not None:
                    wrong.append(f"{name} cannot be had{where}: {why}")
    return wrong


def _unlike(loaded: Settings, known: catalog.Backup, data: bytes) -> str | None:
    """Why a backup's bytes are not these; None where they are."""
    try:
        found = unpacked.plain(loaded, known).read_bytes()
    except (UndropError, OSError) as error:
        return str(getattr(error, "what", error))
    return None if found == data else "it has other bytes"


def false_frames(scene: Scene) -> list[str]:
    """Frames beside which no record says what they are, but for one that is half forgotten."""
    wrong = []
    for folder in (scene.project.backups, *vaults(scene.project)):
        for path in folder.glob("[!.]*.zst"):
            plain = path.with_suffix("")
            how = unpacked.packing(record.read(plain.with_suffix(".json")))
            if not (how.digest or plain.exists() or plain.name in scene.gone):
                wrong.append(f"what {path.name} is says no record")
    return wrong


def after_a_kill(scene: Scene) -> list[str]:
    """The promises that hold at every instant."""
    return lost(scene) + false_frames(scene)


def after_a_fault(scene: Scene, done: Done) -> list[str]:
    """Those of a run that was troubled and ended by itself."""
    wrong = after_a_kill(scene) + litter(scene)
    if done.code not in range(5) or "Traceback" in done.err:
        wrong.append(f"it ended with {done.code}: {done.err[-900:]}")
    if done.code == 3:
        wrong.append("it says that the live database was changed")
    return wrong


def after_the_rerun(scene: Scene) -> list[str]:
    """The same again succeeds, and after a pack, which has nothing to do then, all is as it was."""
    project, wrong = scene.project, []
    done_before = "forget" in scene.command and not told(scene)
    done = project.run(*traced.python(*scene.command))
    if done.code != (2 if done_before else 0):
        wrong.append(f"the same again ended with {done.code}: {done.err[-500:]}")
    wrong += lost(scene) + false_frames(scene) + litter(scene)
    for number in ("first", "second"):
        done = project.run(*traced.python("undrop", "pack"))
        if done.code or (number == "second" and not done.out.startswith("0 packed")):
            wrong.append(f"the {number} pack ended with {done.code}: {done.out}{done.err[-500:]}")
    wrong += [f"packed, {what}" for what in lost(scene) + false_frames(scene) + litter(scene)]
    done = project.run(*traced.python("undrop", "verify"))
    if done.code:
        wrong.append(f"verify ended with {done.code}: {done.out[-500:]}")
    temporary = Path(project.environment["TMPDIR"])
    wrong += [f"litter: {path.name}, for a while" for path in temporary.glob("undrop-*")]
    return wrong + told(scene)


def told(scene: Scene) -> list[str]:
    """What there is of those that are to go: their names, their own bytes in whatever is left."""
    if not scene.gone:
        return []
    project, stems = scene.project, {Path(name).stem for name in scene.gone}
    wrong = []
    folders = (project.backups, *vaults(project))
    for path in (each for folder in folders for each in folder.glob("[!.]*")):
        data = path.read_bytes() if path.suffix != ".jsonl" else b""
        if any(secret.encode() in data for secret in scene.secrets):
            wrong.append(f"{path.name} tells of what is to go")
        if path.name.partition(".")[0] in stems or any(
            name.encode() in data for name in scene.gone
        ):
            wrong.append(f"{path.name} names what is to go")
    with environment(project):
        loaded = settings.load(project.root)
        with closing(loaded.engine.session):
            for each in catalog.backups(loaded):
                if each.path.name in scene.gone:
                    continue
                data = unpacked.plain(loaded, each).read_bytes()
                if any(secret.encode() in data for secret in scene.secrets):
                    wrong.append(f"{each.path.name} tells of what is to go")
    return wrong


def litter(scene: Scene) -> list[str]:
    """What no command leaves that ended by itself, also in the vault."""
    project = scene.project
    wrong = left_over(project)
    for vault in vaults(project):
        wrong += [f"litter in the vault: {path.name}" for path in vault.glob(".*")]
    return wrong
