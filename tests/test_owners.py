"""Files of another user's in our folders: one ``sudo undrop``, a container that is somebody else.

Who runs undrop is root, without root's rights to what is not its own; the other one is nobody.
"""

import os
import shutil
import subprocess
from pathlib import Path

import confined
import pytest
from forks import Done
from shop import Project, make

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")


def user(project: Project, *command: str) -> Done:
    """Run a command as the project's owner, whom permissions bind."""
    return confined.run(project, confined.as_user, *command)


def give(root: Path, uid: int) -> None:
    subprocess.run(["chown", "-hR", f"{uid}:{uid}", str(root)], check=True)


@pytest.fixture
def ours(project: Project) -> Project:
    """A project with a database and one backup of it."""
    make(project.database)
    assert user(project, "undrop", "backup", "first").code == 0
    return project


def vault(project: Project) -> Path:
    [folder] = Path(project.environment["XDG_STATE_HOME"]).glob("undrop/shop-*")
    return folder


def close(*paths: Path) -> None:
    """Let it be as somebody leaves it who is another user."""
    for path in paths:
        os.chown(path, NOBODY, NOBODY)
        path.chmod(0o700 if path.is_dir() else 0o600)


def a_backup(project: Project) -> Path:
    [saved] = project.saved()
    close(saved)
    return saved


def a_record(project: Project) -> Path:
    [saved] = project.saved()
    close(saved.with_suffix(".json"))
    return saved.with_suffix(".json")


def the_log(project: Project) -> Path:
    assert user(project, "undrop", "run", "--", "true").code == 0
    close(project.backups / "steps.jsonl")
    return project.backups / "steps.jsonl"


def a_damaged_set(project: Project) -> Path:
    kept = project.backups / "quartermaster-20260101-000000-x.damaged"
    kept.mkdir()
    (kept / "quartermaster.db").write_text("garbage")
    shutil.copy(project.saved()[0].with_suffix(".json"), kept.with_suffix(".json"))
    close(kept, kept.with_suffix(".json"))
    return kept


def what_was_killed(project: Project) -> Path:
    """A folder that is not finished."""
    left = project.backups / f".{2**22 + 1}.partial"
    left.mkdir()
    (left / "quartermaster.db").write_text("half")
    close(left)
    return left


def the_vault(project: Project) -> Path:
    close(vault(project))
    return vault(project)


def all_vaults(project: Project) -> Path:
    close(vault(project).parent)
    return vault(project).parent


def an_open_vault(project: Project) -> Path:
    """It may be read."""
    close(vault(project))
    vault(project).chmod(0o755)
    return vault(project)


SKIPPED = [a_backup, a_record, the_log, a_damaged_set, what_was_killed]
SKIPPED += [the_vault, an_open_vault, all_vaults]
COMMANDS = [("run", "--", "rm", "quartermaster.db"), ("status",), ("list",)]


FEW = [SKIPPED[0], *(pytest.param(closed, marks=pytest.mark.more) for closed in SKIPPED[1:])]
"""One of them where one waits for it: each costs some real processes."""


@pytest.mark.parametrize("closed", FEW)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_file_of_anothers_is_passed_over_and_told_each_time(
    ours: Project, closed: object, command: tuple[str, ...]
) -> None:
    path = closed(ours)  # type: ignore[operator]
    ours.add(1)
    done = user(ours, "undrop", *command)
    assert done.code == (4 if command == ("status",) else 0), done
    assert "Errno" not in done.err
    looked_at = command[0] == "run" or closed not in {what_was_killed, an_open_vault}
    if looked_at and not (closed is the_log and command == ("list",)):
        told(ours, done, path)
    if command[0] == "run":
        assert user(ours, "undrop", "undo").code == 0


def told(project: Project, done: Done, path: Path) -> str:
    """The line to type, once it was found to name the file and whose it is."""
    assert str(path) in done.err, done
    assert "belongs to nobody, and this is root" in done.err
    [line] = {line.partition(": ")[2] for line in done.err.splitlines() if ": sudo " in line}
    folder = project.backups if path.is_relative_to(project.backups) else vault(project).parent
    assert line == f"sudo chown -R root {folder}"
    return line.removeprefix("sudo ")


@pytest.mark.full.with_args(a_record)
@pytest.mark.full.with_args(an_open_vault)
@pytest.mark.full.with_args(all_vaults)
@pytest.mark.parametrize("closed", FEW)
def test_the_line_that_is_said_mends_it_and_what_was_left_out_is_kept(
    ours: Project, closed: object
) -> None:
    path = closed(ours)  # type: ignore[operator]
    ours.add(1)
    line = told(ours, user(ours, "undrop", "backup", "second"), path)
    subprocess.run(line, shell=True, check=True)  # noqa: S602 - it is to be typed
    ours.add(1)
    done = user(ours, "undrop", "backup", "third")
    assert done.code == 0
    assert "belongs" not in done.err
    kept = {path.name for path in vault(ours).iterdir()}
    assert kept >= {path.name for path in ours.saved()}
    assert user(ours, "undrop", "audit").code == 0 or closed is a_damaged_set


@pytest.mark.parametrize("closed", [a_backup, a_record, a_damaged_set])
def test_later_backups_are_still_linked_into_the_vault(ours: Project, closed: object) -> None:
    """What sudo left is in root's vault, and not in the user's."""
    for path in vault(ours).iterdir():
        path.unlink()
    closed(ours)  # type: ignore[operator]
    ours.add(1)
    second = Path(user(ours, "undrop", "backup", "second").out.strip())
    assert (vault(ours) / second.name).samefile(second)
    assert (vault(ours) / second.with_suffix(".json").name).exists()


def the_lock(project: Project) -> Path:
    close(project.backups / ".lock")
    return project.backups / ".lock"


def the_backups(project: Project) -> Path:
    close(project.backups)
    return project.backups


def the_open_backups(project: Project) -> Path:
    close(project.backups)
    project.backups.chmod(0o755)
    return project.backups


def no_backups(project: Project) -> Path:
    """None there, and the project's folder is not ours."""
    shutil.rmtree(project.backups)
    os.chown(project.root, NOBODY, NOBODY)
    return project.root


@pytest.mark.parametrize("look", [("list",), ("status",), ("undo", "--list"), ("audit",)])
def test_a_look_into_a_closed_folder_says_whose_it_is(ours: Project, look: tuple[str, ...]) -> None:
    the_backups(ours)
    done = user(ours, "undrop", *look)
    assert done.code == 1
    assert f"{ours.backups} cannot be used: it belongs to nobody" in done.err
    assert f"Next: sudo chown -R root {ours.backups}\n" in done.err
    assert "Errno" not in done.err


@pytest.mark.parametrize("closed", [the_lock, the_backups, the_open_backups, no_backups])
@pytest.mark.parametrize("command", [("run", "--", "true"), ("nuke-db",)])
def test_what_cannot_be_passed_over_is_told_with_the_line_that_mends_it(
    ours: Project, closed: object, command: tuple[str, ...]
) -> None:
    path = closed(ours)  # type: ignore[operator]
    live = ours.exact()
    done = user(ours, "undrop", *command)
    assert done.code == 1
    what, changed, following = done.err.replace("undrop: ", "").splitlines()[-4:-1]
    assert what == f"{path} cannot be used: it belongs to nobody, and this is root"
    assert changed.strip() == "The live database was not changed."
    line = following.strip().removeprefix("Next: sudo ")
    assert "Errno" not in done.err
    assert ours.exact() == live
    subprocess.run(line, shell=True, check=True)  # noqa: S602 - it is to be typed
    again = user(ours, "undrop", "backup")
    assert again.code == 0, again


@pytest.mark.full.with_args(a_record)
@pytest.mark.full.with_args(the_vault)
@pytest.mark.full.with_args(an_open_vault)
@pytest.mark.parametrize("closed", [*FEW, the_lock, the_backups])
def test_a_direct_alembic_run_is_guarded_or_told_how_it_would_be(
    ours: Project, closed: object
) -> None:
    path = closed(ours)  # type: ignore[operator]
    ours.add(1)
    done = user(ours, "alembic", "upgrade", "head")
    assert "sudo chown -R root" in done.err
    assert str(path) in done.err
    assert "Errno" not in done.err
    unguarded = closed in {the_lock, the_backups}
    assert ("NO BACKUP WAS TAKEN" in done.err) == unguarded
    assert len(list(ours.backups.glob("*[0-9]-alembic.db"))) == (0 if unguarded else 1)


@pytest.fixture
def theirs(project: Project) -> Project:
    """Another user's project, in which root, with all its rights, runs undrop."""
    make(project.database)
    give(project.root, NOBODY)
    return project


def test_what_root_makes_in_a_users_folder_is_the_users(theirs: Project) -> None:
    """With the user's state folder, which ``sudo -E`` hands on."""
    state = Path(theirs.environment["XDG_STATE_HOME"])
    state.mkdir()
    give(state, NOBODY)
    for command in (
        ("backup", "by root"),
        ("run", "--", "true"),
        ("migrate",),
        ("undo",),
        ("nuke-db",),
        ("undo",),
    ):
        theirs.ok("undrop", *command)
    theirs.database.write_text("garbage")
    theirs.ok("undrop", "restore", "latest")
    made = [theirs.backups, *theirs.backups.rglob("*"), *state.rglob("*")]
    assert len(made) > 20
    assert [path for path in made if path.lstat().st_uid != NOBODY] == []


def test_a_vault_of_roots_own_stays_roots(theirs: Project) -> None:
    theirs.ok("undrop", "backup")
    assert {path.stat().st_uid for path in theirs.backups.rglob("*")} == {NOBODY}
    assert vault(theirs).stat().st_uid == 0
