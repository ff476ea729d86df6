"""``just restore``, ``just nuke-db``, ``just reset-db`` on either engine: always a way back."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from shop import Project


def backed_up(project: Project, rows: int = 50) -> list[str]:
    """Make a database, back it up, add to it; the content that the backup holds."""
    project.make(rows)
    before = project.content()
    project.ok("undrop", "backup", "good")
    project.add(5)
    return before


def test_latest_a_name_and_a_path_from_where_the_user_stands_all_work(each: Project) -> None:
    before = backed_up(each)
    [good] = each.saved()
    below = each.root / "below"
    below.mkdir()
    shutil.copy(good, below / f"mine{each.suffix}")
    for wanted in ("latest", good.stem, f"backups/{good.name}"):
        each.add(1)
        # Each restore backs the changed state up first, marked as taken for safety.
        assert each.ok("undrop", "restore", wanted).strip() == str(good)
        assert each.content() == before
    each.add(1)
    each.ok("just", "restore", f"mine{each.suffix}", "--trust", cwd=below)
    assert each.content() == before
    assert each.litter() == []


@pytest.mark.smoke
def test_rows_deleted_by_hand_come_back_and_the_line_it_ends_with_goes_back(
    filled: Project,
) -> None:
    before = filled.content()
    filled.ok("just", "backup")
    filled.sql("DELETE FROM stock_movements")
    after = filled.content()
    done = filled.just("restore", "latest")
    assert done.code == 0
    assert filled.content() == before
    assert "schema is at 0006" in done.err
    assert "just migrate" not in done.err
    # The recipe's own backup was found, not taken a second time.
    [_, safety] = filled.saved()
    assert f"the state before is {safety.name}" in done.err
    line = done.err.splitlines()[-1].split("to go back: just ")[1]
    filled.ok("just", *line.split())
    assert filled.content() == after


def test_says_when_the_code_is_ahead_of_the_restored_schema(filled: Project) -> None:
    filled.ok("alembic", "downgrade", "-1")
    saved = filled.ok("undrop", "backup").strip()
    done = filled.just("restore", saved)
    assert "schema is at 0005" in done.err
    assert "just migrate" in done.err


def gone(project: Project) -> None:
    project.lose()


def emptied(project: Project) -> None:
    project.ok("undrop", "nuke-db")


def another(project: Project) -> None:
    project.lose()
    project.script(
        "CREATE TABLE other (a text UNIQUE); INSERT INTO other VALUES ('x');"
        "CREATE VIEW t AS SELECT a FROM other"
    )


@pytest.mark.parametrize("state", [gone, emptied, another])
def test_restores_whatever_is_there(each: Project, state: Callable[[Project], None]) -> None:
    before = backed_up(each)
    [good] = each.saved()
    state(each)
    there = each.content()
    done = each.undrop("restore", good.name)
    assert done.code == 0, done
    assert each.content() == before
    assert each.litter() == []
    each.ok("undrop", "undo")
    assert each.content() == there


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garbled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)


def emptied_file(path: Path) -> None:
    os.truncate(path, 0)


def text(path: Path) -> None:
    path.write_text("this is no database at all\n" * 100)


def padded(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(4096))


FAULTS = {
    "truncated": cut,
    "one bit flipped": garbled,
    "empty": emptied_file,
    "text": text,
    "trailing junk": padded,
}


def test_a_damaged_backup_is_refused_by_name_and_nothing_changed(each: Project) -> None:
    backed_up(each)
    [good] = each.saved()
    good.chmod(0o600)
    whole, live = good.read_bytes(), each.exact()
    for name, damage in FAULTS.items():
        damage(good)
        done = each.undrop("restore", good.name)
        assert (name, done.code) == (name, 4)
        assert "was not changed" in done.err
        assert each.undrop("verify", good.name).code == 4, name
        assert each.undrop("diff", good.name).code == 4, name
        assert each.exact() == live
        good.write_bytes(whole)
    assert each.undrop("verify", good.name).code == 0
    assert each.litter() == []


@pytest.mark.full("postgresql")
def test_a_damaged_backup_is_refused_by_the_recipe_and_as_latest(each: Project) -> None:
    backed_up(each)
    [good] = each.saved()
    good.chmod(0o600)
    cut(good)
    for wanted in (good.name, "latest"):
        each.refused(4, "just", "restore", wanted)


def test_damage_is_found_without_a_record_too(each: Project) -> None:
    """A file from elsewhere is proved by reading it."""
    backed_up(each, rows=3000)
    live = each.exact()
    for name in ("truncated", "empty", "text"):
        file = each.root / f"mine{each.suffix}"
        shutil.copyfile(each.saved()[0], file)
        FAULTS[name](file)
        done = each.undrop("restore", file.name)
        assert (name, done.code) == (name, 4)
        assert "was not changed" in done.err
        assert each.exact() == live
    assert each.litter() == []


def test_a_record_with_another_digest_is_not_believed(each: Project) -> None:
    """Whole bytes that are not those which were written down are somebody else's."""
    backed_up(each)
    [good] = each.saved()
    each.ok("undrop", "backup", "other")
    other = next(path for path in each.saved() if path != good)
    good.chmod(0o600)
    shutil.copyfile(other, good)
    done = each.refused(4, "undrop", "restore", good.name)
    assert "digest" in done.err
    assert each.undrop("verify", good.name).code == 4


@pytest.mark.parametrize("wanted", ["nothing", "../nothing", "", "latest", "backups/nothing.db"])
def test_what_is_not_there_is_wrong_usage(each: Project, wanted: str) -> None:
    each.make()
    done = each.undrop("restore", wanted)
    assert done.code == 2
    assert "was not changed" in done.err
    assert len(done.err.splitlines()) >= 3


def test_a_folder_is_no_backup(each: Project) -> None:
    each.make()
    live = each.exact()
    for wanted in ("alembic", "."):
        done = each.undrop("restore", wanted)
        assert done.code in {2, 4}
        assert "was not changed" in done.err
    assert each.exact() == live


def test_a_file_made_by_the_databases_own_tools_needs_no_record_where_it_is_trusted(
    each: Project, tmp_path: Path
) -> None:
    other = each.beside()
    other.make(rows=7)
    file = other.export(tmp_path / f"from usb{each.suffix}")
    backed_up(each)
    each.ok("just", "restore", str(file), "--trust")
    assert each.content() == other.content()
    shutil.copy(each.saved()[0], each.backups / f"copied{each.suffix}")
    assert f"copied{each.suffix}" in each.ok("undrop", "list")
    each.ok("undrop", "restore", f"copied{each.suffix}", "--trust")
    assert each.content() == each.holds(each.saved()[0]) != other.content()


def test_another_applications_file_is_refused(filled: Project, tmp_path: Path) -> None:
    filled.ok("undrop", "backup")
    other = filled.beside()
    other.script(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);"
        "INSERT INTO alembic_version VALUES ('c0ffee')"
    )
    file = other.export(tmp_path / f"other{filled.suffix}")
    done = filled.refused(4, "just", "restore", str(file), "--trust")
    assert "another application's" in done.err


@pytest.mark.full("postgresql")
def test_our_own_backup_of_a_revision_that_the_branch_lacks_is_restorable(filled: Project) -> None:
    """By its name: ``latest`` passes it over, and says so."""
    before = filled.content()
    saved = Path(filled.ok("undrop", "backup").strip())
    (filled.root / "alembic/versions/0006_reorder_level.py").unlink()
    filled.sql("CREATE TABLE t (v TEXT)")
    done = filled.refused(2, "just", "restore", "latest")
    assert f"{saved.name}: its revision 0006 is unknown" in done.err
    done = filled.just("restore", saved.name)
    assert done.code == 0
    assert "0006 is unknown to the migrations here" in done.err
    assert filled.content() == before


@pytest.mark.full("postgresql")
def test_latest_is_this_databases_and_no_backup_that_was_taken_for_safety(each: Project) -> None:
    before = backed_up(each)
    other = each.beside()
    other.make(rows=1)
    other.ok("undrop", "backup")
    for _ in range(2):
        each.ok("undrop", "restore", "latest")
        assert each.content() == before
        each.add(1)


def test_a_program_that_stays_connected_sees_what_was_restored(each: Project) -> None:
    backed_up(each, rows=20)
    with each.connected() as (ask, _):
        assert ask("SELECT count(*) FROM t") == [(25,)]
        each.ok("just", "restore", "latest")
        assert ask("SELECT count(*) FROM t") == [(20,)]
        ask("INSERT INTO t (v) VALUES ('mine')")  # and its next commit survives
    assert each.sql("SELECT count(*) FROM t") == [(21,)]


def test_without_a_backup_nothing_is_destroyed(each: Project, tmp_path: Path) -> None:
    each.make()
    live = each.exact()
    file = each.export(tmp_path / f"elsewhere{each.suffix}")
    each.backups.write_text("in the way")
    for command in (
        ("just", "restore", str(file), "--trust"),
        ("undrop", "restore", str(file), "--trust"),
        ("undrop", "reset-db"),
        ("undrop", "nuke-db"),
        ("undrop", "migrate"),
    ):
        done = each.run(*command)
        assert done.code == 1, done
        assert "was not changed" in done.err
    assert each.exact() == live
    assert each.litter() == []


def test_just_without_dependencies_still_takes_a_backup(each: Project) -> None:
    before = backed_up(each)
    after = each.content()
    each.ok("just", "--no-deps", "restore", "latest")
    assert each.content() == before
    assert [each.holds(path) for path in each.saved()] == [before, after]


def test_nuke_leaves_nothing_and_a_backup(each: Project) -> None:
    each.make()
    before = each.content()
    done = each.just("nuke-db")
    assert (done.code, done.out) == (0, f"{each.label}\n")
    assert not each.exists()
    [saved] = each.saved()
    assert each.holds(saved) == before
    done = each.just("nuke-db")
    assert done.code == 0
    assert "nothing" in done.err
    each.ok("just", "restore", "latest")
    assert each.content() == before


def test_reset_gives_an_empty_schema_at_head(filled: Project) -> None:
    before = filled.content()
    done = filled.just("reset-db")
    assert (done.code, done.out) == (0, f"{filled.label}\n")
    assert filled.sql("SELECT count(*) FROM items") == [(0,)]
    assert filled.sql("SELECT * FROM alembic_version") == [("0006",)]
    assert [filled.holds(path) for path in filled.saved()] == [before, filled.content()]
    filled.ok("just", "restore", "latest")
    assert filled.content() == before
    assert filled.litter() == []


def test_reset_where_there_is_no_database_makes_one(each: Project) -> None:
    each.ok("just", "reset-db")
    assert each.sql("SELECT * FROM alembic_version") == [("0006",)]
    assert [each.holds(path) for path in each.saved()] == [each.content()]
    each.ok("just", "undo")
    assert not each.exists()
