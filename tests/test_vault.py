"""The second line of defence, and what an unchanged database costs."""

import errno
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import inside
import promises
import pytest
from shop import Project, add, content, make

from undrop import durable, settings
from undrop.store import catalog, vault
from undrop.store.lock import Lock


def vault_of(project: Project) -> Path:
    [folder] = Path(project.environment["XDG_STATE_HOME"]).glob("undrop/shop-*")
    return folder


def inside_of(folder: Path) -> set[str]:
    """The names in a vault, but for that of what says whose it is."""
    return {path.name for path in folder.iterdir()} - {vault.SIGNATURE}


def lose_backups(project: Project) -> None:
    shutil.rmtree(project.backups)


def test_it_is_private_and_takes_no_space(project: Project) -> None:
    make(project.database)
    saved = Path(project.ok("sh", "-c", "umask 000; exec undrop backup").strip())
    folder = vault_of(project)
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    for name in (saved.name, saved.with_suffix(".json").name):
        assert (folder / name).samefile(saved.parent / name)


def test_a_damaged_set_is_kept_there_too(project: Project) -> None:
    project.database.write_text("garbage")
    project.ok("just", "nuke-db")
    lose_backups(project)
    [kept] = vault_of(project).glob("*.damaged")
    assert (kept / "quartermaster.db").read_text() == "garbage"
    assert "damaged" in project.ok("just", "list")


def test_one_setting_turns_it_off(project: Project) -> None:
    pyproject = project.root / "pyproject.toml"
    text = pyproject.read_text()
    pyproject.write_text(text.replace("[tool.undrop]", "[tool.undrop]\nvault = false"))
    make(project.database)
    project.ok("just", "backup")
    assert not Path(project.environment["XDG_STATE_HOME"]).exists()
    assert "vault   " not in project.ok("just", "status")
    pyproject.write_text(text.replace("[tool.undrop]", "[tool.undrop]\nvault = 'no'"))
    assert "true or false" in project.just("backup").err


def test_a_relative_state_home_is_as_none(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("state", ""):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        folder = settings.load(project.root).vault_folder
        assert folder is not None
        assert folder.parent == tmp_path / ".local/state/undrop"


def test_a_vault_that_cannot_be_is_no_failure_and_status_says_so(project: Project) -> None:
    make(project.database)
    Path(project.environment["XDG_STATE_HOME"]).write_text("in the way")
    project.ok("just", "backup")
    assert "vault      2 file(s) could not be kept" in project.ok("just", "status")
    Path(project.environment["XDG_STATE_HOME"]).unlink()
    project.ok("just", "backup")
    assert "vault   " not in project.ok("just", "status")
    assert len(list(vault_of(project).glob("*.db"))) == 2


def test_a_later_undrop_finds_the_vault_that_an_earlier_one_made(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/home/ann/.state")
    there = settings.load(project.root)._replace(root=Path("/home/ann/shop"))
    assert there.vault_folder == Path("/home/ann/.state/undrop/shop-1ee0379032c6")


def test_projects_in_folders_of_the_same_name_have_vaults_of_their_own(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "other" / "shop").mkdir(parents=True)
    other = Project(tmp_path / "other" / "shop")
    for each in (project, other):
        make(each.database)
        inside.back_up(each)
    lose_backups(other)
    with inside.command(other) as lock:
        found = catalog.backups(lock.settings)
    assert [each.only_in_vault for each in found] == [True]


def killed(act: Callable[[], None], number: int) -> bool:
    """Do something in a process that dies just before its how-manieth call; whether it did.

    What opens, links or renames counts, as Python tells of it, and SQLite does not.
    """
    left = number

    def count(event: str, _arguments: object) -> None:
        nonlocal left
        left -= event in {"open", "os.link", "os.mkdir", "os.rename"}
        if left < 0:
            os._exit(9)

    pid = os.fork()
    if pid == 0:
        try:
            sys.addaudithook(count)
            act()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in {0, 9}
    return code == 9


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of a worker that has threads
@pytest.mark.parametrize("how", ["linked", "copied"])
def test_killed_anywhere_what_it_has_a_record_of_is_whole_and_the_next_run_adds_the_rest(
    project: Project, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    make(project.database)
    moved = inside.back_up(project)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 5)
    saved = inside.back_up(project)
    project.database.write_text("garbage")
    project.database.with_name(f"{project.database.name}-wal").write_text("more of it")
    damaged = inside.back_up(project, "before nuke-db", "nuke-db")
    moved.rename(project.root / "away.db")  # its record stays
    wanted = {
        each.with_suffix(kind).name for each in (saved, damaged) for kind in (".json", each.suffix)
    }
    folder = vault_of(project)
    if how == "copied":
        monkeypatch.setattr(os, "link", no_links)
    loaded = settings.load(project.root)
    deaths = 0
    while True:
        shutil.rmtree(folder)
        if not killed(lambda: vault.keep(Lock(loaded)), deaths):
            break
        deaths += 1
        assert promises.unsound_backups(project) == [], deaths
        with inside.command(project) as lock:
            vault.keep(lock)
        assert promises.unsound_backups(project) == [], deaths
        assert inside_of(folder) == wanted, deaths
    assert deaths > 10


def no_links(*_names: object, **_options: object) -> None:
    raise OSError(errno.EXDEV, "another file system")


@pytest.mark.parametrize("limit", [10**6, 1000])
def test_without_links_it_copies_up_to_a_limit(
    project: Project, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    make(project.database)
    Path(project.environment["XDG_STATE_HOME"]).write_text("no vault yet")
    saved = Path(project.ok("just", "backup").strip())
    Path(project.environment["XDG_STATE_HOME"]).unlink()
    monkeypatch.setenv("XDG_STATE_HOME", project.environment["XDG_STATE_HOME"])

    monkeypatch.setattr(os, "link", no_links)
    vault.keep(Lock(settings.load(project.root)._replace(vault_copy_limit=limit)))
    kept = vault_of(project) / saved.name
    assert kept.exists() == (limit > 1000)
    if kept.exists():
        assert kept.read_bytes() == saved.read_bytes()
        assert kept.stat().st_mode & 0o777 == 0o400
        assert not kept.samefile(saved)
    assert not list(vault_of(project).glob(".*"))


def kept(project: Project, **changes: object) -> Path:
    """What the vault is after a run under an open umask, and other settings than the project's."""
    old = os.umask(0)
    try:
        vault.keep(Lock(settings.load(project.root)._replace(**changes)))  # type: ignore[arg-type]
    finally:
        os.umask(old)
    return vault_of(project)


@pytest.fixture
def lost_vault(project: Project) -> Project:
    """Two backups, the first one larger, and a set of damaged files; the vault has none of it."""
    make(project.database, 200)
    inside.back_up(project, "large")
    project.lose()
    make(project.database, 3)
    inside.back_up(project, "small")
    project.database.write_text("garbage")
    inside.back_up(project, "before nuke-db", "nuke-db")
    shutil.rmtree(vault_of(project))
    return project


def test_what_is_no_longer_there_is_not_missing_in_it(lost_vault: Project) -> None:
    lose_backups(lost_vault)
    assert vault.missing(settings.load(lost_vault.root)) == []
    lost_vault.backups.write_text("in the way")
    assert vault.missing(settings.load(lost_vault.root)) == []


def test_what_it_keeps_of_a_set_is_as_private_as_the_set(lost_vault: Project) -> None:
    [there] = kept(lost_vault).glob("*.damaged")
    assert there.stat().st_mode & 0o777 == 0o700


def test_one_that_is_too_large_to_copy_does_not_keep_later_ones_out(
    lost_vault: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    large, small = lost_vault.saved()
    there = kept(lost_vault, vault_copy_limit=small.stat().st_size)
    assert {Path(name).suffix for name in inside_of(there)} == {".db", ".damaged", ".json"}
    assert [path.name for path in there.glob("*.db")] == [small.name]
    there = kept(lost_vault, vault_copy_limit=large.stat().st_size - 1)
    assert not (there / large.name).exists()
    there = kept(lost_vault, vault_copy_limit=large.stat().st_size)
    assert (there / large.name).read_bytes() == large.read_bytes()


def test_a_set_that_is_too_large_to_copy_is_not_kept_in_part(
    lost_vault: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its largest file it would pass for whole, and nothing would be missing."""
    monkeypatch.setattr(os, "link", no_links)
    there = kept(lost_vault, vault_copy_limit=5)
    assert not list(there.glob("*.damaged"))
    assert not list(there.glob(".*"))
    missing = vault.missing(settings.load(lost_vault.root))
    assert [name for name in missing if name.endswith(".damaged")]


def test_a_copy_is_private_until_it_has_the_mode_of_what_it_is_of(
    lost_vault: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    saved = lost_vault.saved()[-1]
    saved.chmod(0o541)
    seen = set()
    original = shutil.copyfile

    def copyfile(source: Path, target: Path) -> Path:
        seen.add(target.stat().st_mode & 0o777)
        return original(source, target)

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    assert (kept(lost_vault) / saved.name).stat().st_mode & 0o777 == 0o541
    assert seen == {0o600}


def test_of_a_copy_that_failed_half_way_nothing_is_left(
    lost_vault: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copyfile(source: Path, target: Path) -> Path:
        target.write_bytes(source.read_bytes()[:1000])
        raise OSError(errno.ENOSPC, "the disk is full")

    with monkeypatch.context() as disk:
        disk.setattr(os, "link", no_links)
        disk.setattr(shutil, "copyfile", copyfile)
        assert inside_of(kept(lost_vault)) == set()
    assert len(vault.missing(settings.load(lost_vault.root))) == 6
    assert {path.name for path in kept(lost_vault).iterdir()} >= {
        path.name for path in lost_vault.saved()
    }


def test_what_it_has_got_is_on_the_disk_when_a_backup_ends(
    lost_vault: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss of power takes names back that their folder was not fsynced with; once is enough."""
    synced: list[Path] = []
    original = durable.sync_path

    def sync_path(path: Path) -> None:
        synced.append(path)
        original(path)

    monkeypatch.setattr(durable, "sync_path", sync_path)
    for how in ("linked", "copied"):
        if how == "copied":
            shutil.rmtree(vault_of(lost_vault))
            monkeypatch.setattr(os, "link", no_links)
        synced.clear()
        there = kept(lost_vault)
        assert synced[-2:] == [there, there.parent]
        synced.clear()
        kept(lost_vault)
        assert there not in synced


def test_a_link_among_the_backups_is_kept_as_a_link(project: Project, tmp_path: Path) -> None:
    """Whoever planted it gets no second name for a file that is elsewhere."""
    make(project.database)
    saved = inside.back_up(project)
    secret = tmp_path / "secret"
    secret.write_text("text")
    planted = saved.with_name("planted.db")
    planted.symlink_to(secret)
    shutil.copy(saved.with_suffix(".json"), planted.with_suffix(".json"))
    assert (kept(project) / planted.name).is_symlink()
    assert secret.stat().st_nlink == 1


def test_forget_a_damaged_set(project: Project) -> None:
    project.database.write_text("garbage")
    project.ok("just", "nuke-db")
    [kept] = project.backups.glob("*.damaged")
    project.ok("just", "forget", kept.name)
    assert not kept.exists()
    assert inside_of(vault_of(project)) == {"steps.jsonl"}


def test_where_links_are_impossible_an_unchanged_database_gets_a_new_file(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from undrop.steps import backup
    from undrop.store.lock import locked

    make(project.database)
    first = Path(project.ok("just", "backup").strip())

    def no_links(*_names: object, **_options: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    loaded = settings.load(project.root)._replace(vault=False)
    with locked(loaded, print) as lock:
        taken = backup.take(lock, backup.Purpose("again", ""))
    assert taken is not None
    assert not taken.path.samefile(first)
    assert taken.path.read_bytes() == first.read_bytes()
    assert project.litter() == []


def test_another_applications_file_is_refused(stocked: Project, tmp_path: Path) -> None:
    stocked.ok("just", "backup")
    live = content(stocked.database)
    make(tmp_path / "third.db")
    with closing(sqlite3.connect(tmp_path / "third.db")) as connection:
        connection.execute("PRAGMA application_id = 77")
    done = stocked.just("restore", str(tmp_path / "third.db"))
    assert done.code == 4
    assert "application_id 77" in done.err
    assert content(stocked.database) == live
