"""``just backup`` on either engine: one whole file, one path, one record."""

import json
import stat
from pathlib import Path

import pytest
from shop import Project

HOSTILE = "before import: Größe & co; $(touch x)"
REASONS = {
    HOSTILE: "before-import-grosse-co-touch-x",
    "../../x; rm -rf /": "x-rm-rf",
    "a" * 300: "a" * 60,
    "😀\n\n": "manual",
    "": "manual",
    "--help": "help",
    "-x": "x",
    "\x1b[31mred": "31mred",
}


def record(backup: Path) -> dict[str, object]:
    """What is written down beside a backup."""
    return dict(json.loads(backup.with_suffix(".json").read_text()))


def test_prints_one_path_of_a_file_that_holds_every_row_and_definition(filled: Project) -> None:
    done = filled.just("backup", "why not")
    [path] = done.out.splitlines()
    [saved] = filled.saved()
    assert (done.code, Path(path)) == (0, saved)
    assert saved.parent == filled.backups
    assert filled.holds(saved) == filled.content()
    assert filled.litter() == []


def test_the_record_says_what_it_is(filled: Project) -> None:
    answer = json.loads(filled.ok("undrop", "backup", "--json", "why not"))
    [saved] = filled.saved()
    assert (answer["backup"], answer["verified"]) == (str(saved), True)
    entry = record(saved)
    assert entry["reason"] == "why not"
    assert entry["revisions"] == ["0006"]
    assert entry["source"] == filled.source
    assert entry["bytes"] == saved.stat().st_size
    assert str(entry["digest"]).startswith("blake3:")
    assert (entry["check"], entry["before"]) == ("ok", "")
    assert entry["filled"] == [
        "alembic_version",
        "items",
        "locations",
        "stock_movements",
        "supplier_contacts",
        "suppliers",
    ]


def test_any_reason_is_data_and_gives_a_new_file_inside_backups(each: Project) -> None:
    each.make()
    made = set()
    for reason, slug in REASONS.items():
        path = Path(each.ok("just", "backup", "--", reason).strip())
        made.add(path)
        assert path.parent == each.backups
        assert path.stem.startswith(f"{each.stem}-")
        assert path.stem.removesuffix("-2").endswith(f"-{slug}")
        assert record(path)["reason"] == reason
    assert len(made) == len(each.saved()) == len(REASONS)
    assert not (each.root / "x").exists()


def test_an_unquoted_reason_is_all_its_words(each: Project) -> None:
    each.make()
    path = Path(each.ok("just", "backup", "two", "words").strip())
    assert path.stem.endswith("-two-words")
    assert record(path)["reason"] == "two words"


def test_an_unchanged_database_takes_the_space_of_one_and_no_name_is_overwritten(
    each: Project,
) -> None:
    """Each backup has a name and a record of its own, and is as good as the first."""
    each.make(rows=3000)
    paths = [Path(each.ok("undrop", "backup", "same").strip()) for _ in range(5)]
    assert set(each.saved()) == set(paths)
    assert len(set(paths)) == 5
    assert len({path.stat().st_ino for path in paths}) == 1
    assert len(json.loads(each.ok("undrop", "list", "--json"))["backups"]) == 5
    before = each.content()
    each.lose()
    each.ok("undrop", "restore", paths[2].name)
    assert each.content() == before


def test_a_second_name_is_given_to_whole_bytes_only(each: Project) -> None:
    each.make()
    first = Path(each.ok("just", "backup").strip())
    data = first.read_bytes()
    first.chmod(0o600)
    first.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    second = Path(each.ok("just", "backup").strip())
    assert not second.samefile(first)
    assert each.holds(second) == each.content()


def test_the_variable_names_another_database(each: Project) -> None:
    each.make()
    other = each.beside()
    other.make(rows=3)
    path = Path(other.ok("just", "backup").strip())
    assert path.name.startswith(f"{other.stem}-")
    assert other.holds(path) == other.content() != each.content()


def test_files_are_for_the_owner_only_whatever_the_umask(each: Project) -> None:
    each.make()
    each.ok("sh", "-c", "umask 000; exec undrop backup")
    [saved] = each.saved()
    assert stat.S_IMODE(saved.stat().st_mode) == 0o400
    assert stat.S_IMODE(saved.with_suffix(".json").stat().st_mode) == 0o600
    assert stat.S_IMODE(each.backups.stat().st_mode) == 0o700


def test_before_a_step_the_path_goes_to_stderr_and_into_the_record(each: Project) -> None:
    each.make()
    done = each.just("backup", "--before=undo", "--", "")
    assert (done.code, done.out) == (0, "")
    [saved] = each.saved()
    assert str(saved) in done.err
    assert (record(saved)["before"], record(saved)["reason"]) == ("undo", "before undo")


def test_a_file_where_backups_should_be_fails_with_three_lines(each: Project) -> None:
    each.make()
    each.backups.write_text("in the way")
    done = each.just("backup")
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 3
    assert "was not changed" in done.err
    assert each.backups.read_text() == "in the way"


@pytest.mark.smoke
def test_a_locked_database_ends_with_the_name_of_who_locks_it(each: Project) -> None:
    each.make()
    with each.locked() as pid:
        done = each.impatient("backup")
    assert done.code == 1
    assert "lock" in done.err
    assert f"pid {pid}" in done.err
    assert "was not changed" in done.err
    assert each.saved() == []
    assert each.litter() == []


def test_left_overs_of_a_killed_backup_are_swept(each: Project) -> None:
    each.make()
    each.backups.mkdir()
    (each.backups / ".123.partial").write_text("half")
    (each.backups / ".124.partial").mkdir()
    (each.backups / f"{each.stem}-20260101-000000-x.json").write_text("{}")
    each.ok("just", "backup")
    assert each.litter() == []
    assert len(list(each.backups.glob("*.json"))) == 1
