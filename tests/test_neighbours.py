"""Two folders that share one database are told of each other's backups and steps."""

import json
import os
import shutil
from pathlib import Path

import pytest
from shop import Project, make, some

LOOKS = [("list",), ("status",), ("undo", "--list")]


@pytest.fixture(params=["outside", "inside one"])
def two(request: pytest.FixtureRequest, project: Project) -> tuple[Project, Project]:
    """Two folders with one database: beside both, or in the first one."""
    other = Project(project.root.with_name("beside"))
    other.environment["XDG_STATE_HOME"] = project.environment["XDG_STATE_HOME"]
    if request.param == "outside":
        project.database = project.root.with_name("shared.db")
        project.environment["QUARTERMASTER_DB_URL"] = project.url
    other.database = project.database
    other.environment["QUARTERMASTER_DB_URL"] = project.url
    make(project.database)
    project.ok("undrop", "backup", "first")
    project.ok("undrop", "run", "--", *project.client("DELETE FROM t WHERE id > 3"))
    return project, other


def vault_of(project: Project) -> Path:
    state = Path(project.environment["XDG_STATE_HOME"])
    [folder] = state.glob(f"undrop/{project.root.name}-*")
    return folder


def said(project: Project, name: str, *, gone: bool = False) -> str:
    """The line about a project with two backups, of which the newest has that name."""
    there = f"{project.root}, which is gone" if gone else str(project.root)
    return (
        f"another project's folder, {there}, has 2 backup(s) of this very database "
        f"(newest: {name}, just now) and 1 step(s) on it, which are not among those here: "
    )


@pytest.mark.parametrize("gone", [False, True])
def test_each_look_says_what_the_other_folder_has_also_when_it_is_gone(
    two: tuple[Project, Project], *, gone: bool
) -> None:
    one, other = two
    newest, folder = one.saved()[-1].name, vault_of(one)
    if gone:
        shutil.move(one.database, one.root.with_name("kept.db"))
        (one.root / "tools").unlink()
        shutil.rmtree(one.root)
        one.database.parent.mkdir(exist_ok=True)
        shutil.move(one.root.with_name("kept.db"), one.database)
    line = said(one, newest, gone=not one.root.is_dir()) + str(folder)
    before = other.tree()
    for look in LOOKS:
        done = other.undrop(*look)
        assert (done.out + done.err).count(line) == 1, done
        [told] = json.loads(other.undrop(*look, "--json").out)["elsewhere"]
        assert told == {
            "root": str(one.root),
            "vault": str(folder),
            "backups": 2,
            "newest": str(folder / newest),
            "steps": 1,
        }
    assert other.tree() == before
    for command, code in ((("restore", "latest"), 2), (("undo",), 4)):
        done = other.undrop(*command)
        assert done.code == code
        assert line in done.err


def test_nothing_of_it_is_mixed_into_the_timeline(two: tuple[Project, Project]) -> None:
    one, other = two
    other.add(1)
    other.ok("undrop", "backup", "mine")
    [mine] = other.saved()
    assert one.saved()[-1].name not in other.ok("undrop", "list")
    assert json.loads(other.ok("undrop", "undo", "--list", "--json"))["steps"] == []
    assert f"newest: {mine.name}" in one.done("undrop", "list").err


def test_what_the_other_one_has_can_be_restored_from_there(two: tuple[Project, Project]) -> None:
    one, other = two
    first = one.saved()[0]
    wanted = one.holds(first)
    other.ok("undrop", "restore", "--foreign", str(vault_of(one) / first.name))
    assert other.content() == wanted


def test_other_databases_and_what_is_known_here_are_not_told(
    project: Project, two: tuple[Project, Project]
) -> None:
    one, other = two
    for each in (one, project):
        assert "another project" not in each.done("undrop", "list").err
    shutil.copy(other.database, other.root / "own.db")
    url = f"sqlite:///{other.root / 'own.db'}"
    assert "another project" not in other.done("undrop", "list", QUARTERMASTER_DB_URL=url).err


def test_a_project_that_was_moved_is_no_neighbour_of_itself(project: Project) -> None:
    project.database = project.root.with_name("shared.db")
    project.environment["QUARTERMASTER_DB_URL"] = project.url
    make(project.database)
    project.ok("undrop", "backup")
    project.ok("undrop", "run", "--", *project.client("DELETE FROM t WHERE id > 3"))
    there = project.root.rename(project.root.with_name("moved"))
    assert "another project" not in project.done("undrop", "list", cwd=there).err
    project.ok("undrop", "backup", cwd=there)
    assert "another project" not in project.done("undrop", "list", cwd=there).err


def test_on_a_server_it_is_the_same_database_wherever_the_project_is(each_served: Project) -> None:
    each_served.make()
    saved = Path(each_served.ok("undrop", "backup").strip())
    beside = each_served.root.with_name("beside")
    shutil.copytree(each_served.root, beside, symlinks=True)
    shutil.rmtree(beside / "backups")
    for look in LOOKS:
        done = each_served.undrop(*look, cwd=beside)
        assert f"1 backup(s) of this very database (newest: {saved.name}" in done.out + done.err


NONSENSE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"root": "/x"}',
    b'{"root": 1, "databases": []}',
    b'{"root": "/x", "databases": "/x"}',
    b'{"root": "/x", "databases": [1]}',
    b'{"root": "x", "databases": []}',
    b'{"root": "/x\\u0000", "databases": []}',
    b'{"root": "/x\\ud800", "databases": ["%b"]}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("text", some(NONSENSE))
def test_a_vault_that_says_nonsense_of_itself_is_passed_over(
    two: tuple[Project, Project], text: bytes
) -> None:
    one, other = two
    signature = vault_of(one) / "project"
    signature.write_bytes(text.replace(b"%b", os.fsencode(one.database)))
    for look in LOOKS:
        done = other.undrop(*look)
        assert done.code in {0, 4}, done
        assert "Traceback" not in done.err
    one.ok("undrop", "backup", "again")
    assert "3 backup(s)" in other.done("undrop", "list").err


def test_what_a_vault_says_does_not_reach_the_terminal_as_it_is(
    two: tuple[Project, Project],
) -> None:
    one, other = two
    fields = {"root": "/x\x1b[31m\n", "databases": [str(other.database)]}
    (vault_of(one) / "project").write_text(json.dumps(fields))
    for look in LOOKS:
        done = other.undrop(*look)
        assert "\x1b" not in done.out + done.err
