"""``just migrate`` and Alembic's own commands on either engine."""

import json
import os
import signal
import subprocess
import time

import pytest
from shop import Project

FAILS_HALF_WAY = (
    "op.create_table('half', sa.Column('id', sa.Integer, primary_key=True))",
    "op.execute('DELETE FROM stock_movements')",
    "raise RuntimeError('third operation')",
)
COLOUR = "op.add_column('items', sa.Column('colour', sa.Text))"


def revision(project: Project) -> str:
    return str(project.sql("SELECT version_num FROM alembic_version")[0][0])


def test_builds_the_schema_from_nothing(each: Project) -> None:
    assert each.ok("just", "migrate") == "no revision -> 0006\n"
    assert revision(each) == "0006"
    assert [each.holds(path) for path in each.saved()] == [each.content()]
    assert each.litter() == []
    again = each.just("migrate")
    assert again.code == 0
    assert "nothing to do" in again.err


@pytest.mark.smoke
def test_moves_a_filled_database_back_and_forward_with_a_backup_each(filled: Project) -> None:
    filled.ok("alembic", "downgrade", "-1")
    before = filled.content()
    done = filled.just("migrate", "+1")
    assert done.out == "0005 -> 0006\n"
    [kept] = [path for path in filled.saved() if f"the state before is {path.name}" in done.err]
    assert filled.holds(kept) == before
    assert done.err.endswith("undrop: to go back: just undo\n")
    assert filled.content() in map(filled.holds, filled.saved())
    assert filled.ok("just", "migrate", "-1", "--accept-loss") == "0006 -> 0005\n"
    assert revision(filled) == "0005"
    assert filled.content() == before


def test_prices_and_contacts_survive_the_way_down_and_up(filled: Project) -> None:
    """Up again nothing has to be accepted by hand: the migrations' files say what they take."""
    columns = {
        "items": "id, sku, name, supplier_id, price_cents, reorder_level",
        "stock_movements": "id, item_id, location_id, quantity, moved_at, note",
        "suppliers": "id, name",
        "locations": "id, code, description",
        "supplier_contacts": "supplier_id, kind, value",
    }

    def rows() -> list[list[str]]:
        queries = (f"SELECT {names} FROM {table}" for table, names in columns.items())
        return [sorted(map(repr, filled.sql(query))) for query in queries]

    before = rows()
    assert filled.ok("undrop", "migrate", "0002", "--accept-loss") == "0006 -> 0002\n"
    [(price,)] = filled.sql("SELECT price FROM items WHERE id = 1")
    assert price.count(".") == 1
    [(email,)] = filled.sql("SELECT email FROM suppliers WHERE id = 1")
    assert email == "sales@supplier-1.example"
    assert filled.ok("undrop", "migrate") == "0002 -> 0006\n"
    assert rows() == before
    assert filled.ok("undrop", "migrate", "base", "--accept-loss") == "0006 -> no revision\n"


def test_what_fails_changes_nothing(filled: Project) -> None:
    assert "no-such" in filled.refused(2, "just", "migrate", "no-such").err
    filled.revise(*FAILS_HALF_WAY)
    assert "third operation" in filled.refused(1, "just", "migrate").err
    before = filled.content()
    assert filled.alembic("upgrade", "head").code == 1
    assert filled.content() == before
    assert filled.litter() == []


HANGS = (
    COLOUR,
    "op.execute(\"UPDATE items SET colour = 'red'\")",
    "runs = pathlib.Path('runs')",
    "runs.write_text(runs.read_text() + 'x' if runs.exists() else 'x')",
    "if str(len(runs.read_text())) == os.environ.get('HANG'):\n"
    "        pathlib.Path('hanging').touch()\n"
    "        time.sleep(600)",
)


RUNS = {"sqlite": 1, "postgresql": 2}


def killed(project: Project, **variables: str) -> bool:
    """Whether a migrate got to where it hangs, and was killed there with all that it started."""
    with subprocess.Popen(
        ["undrop", "migrate"],
        cwd=project.root,
        env={**project.environment, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as running:
        hanging = project.root / "hanging"
        while running.poll() is None and not hanging.exists():
            time.sleep(0.01)
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    return hanging.exists()


def test_a_killed_migrate_leaves_old_or_new_and_nothing_in_the_way(filled: Project) -> None:
    """Killed in each run of the migration: on PostgreSQL it is tried on a copy first."""
    filled.revise(*HANGS)
    before = filled.content()
    for run in range(1, RUNS[filled.kind] + 1):
        assert killed(filled, HANG=str(run))
        assert filled.content() == before
        assert filled.undrop("undo").code == 4  # nothing to undo: it changed nothing
        assert filled.content() == before
        assert filled.litter() == []
        for name in ("runs", "hanging"):
            (filled.root / name).unlink()
    assert filled.ok("undrop", "migrate") == "0006 -> 9001\n"
    assert (filled.root / "runs").read_text() == "x" * RUNS[filled.kind]
    assert filled.sql("SELECT DISTINCT colour FROM items") == [("red",)]
    filled.ok("undrop", "undo")
    assert filled.content() == before
    assert filled.litter() == []


def test_an_env_that_goes_elsewhere_is_stopped_before_the_first_migration(
    filled: Project,
) -> None:
    other = filled.beside()
    other.stock(filled)
    env = filled.root / "alembic/env.py"
    env.write_text(
        env.read_text()
        .replace("database_url(context)", f'"{other.url}"')
        .replace(
            "from undrop.alembic import backup_before, database_url,",
            "from undrop.alembic import backup_before,",
        )
    )
    filled.revise(COLOUR)
    live, elsewhere = filled.exact(), other.exact()
    done = filled.just("migrate")
    assert done.code == 1
    assert other.place() in done.err
    assert filled.exact() == live
    assert other.exact() == elsewhere
    assert filled.litter() == []


def test_a_failing_backup_stops_just_but_not_alembic(filled: Project) -> None:
    filled.revise(COLOUR)
    filled.backups.write_text("in the way")
    assert filled.just("migrate").code == 1
    assert revision(filled) == "0006"
    done = filled.alembic("upgrade", "head")
    assert done.code == 0
    assert "NO BACKUP WAS TAKEN" in done.err
    assert revision(filled) == "9001"


def test_alembic_commands_that_change_take_a_backup(filled: Project) -> None:
    for count, command in enumerate(
        (
            ("upgrade", "head"),
            ("upgrade", "head", "--sql"),
            ("downgrade", "0006:base", "--sql"),
            ("downgrade", "-1"),
            ("stamp", "0006"),
            ("ensure_version",),
        ),
        1,
    ):
        filled.sql(f"UPDATE suppliers SET name = 'before {count}' WHERE id = 1")
        before = filled.content()
        filled.ok("alembic", *command)
        named = [path for path in filled.saved() if "-after-alembic" not in path.stem]
        assert len(named) == count, command
        assert json.loads(named[-1].with_suffix(".json").read_text())["reason"] == "alembic"
        assert filled.holds(named[-1]) == before, command


def test_alembic_commands_that_look_take_none(filled: Project) -> None:
    live = filled.exact()
    for command in (
        ("current",),
        ("history",),
        ("heads",),
        ("show", "head"),
        ("revision", "--autogenerate", "-m", "none"),
    ):
        filled.ok("alembic", *command)
        assert filled.saved() == [], command
    assert filled.exact() == live


def test_nothing_is_left_for_autogenerate_to_find(filled: Project) -> None:
    """The example's models and its migrations say the same."""
    done = filled.alembic("check")
    assert (done.code, done.out.strip()) == (0, "No new upgrade operations detected.")
    assert filled.saved() == []


def test_the_history_renders_as_sql_that_does_the_same(each: Project) -> None:
    written = each.beside()
    each.ok("undrop", "migrate")
    written.script(each.ok("alembic", "upgrade", "head", "--sql"))
    assert squeezed(written) == squeezed(each)
    each.ok("undrop", "migrate", "0001", "--accept-loss")
    written.script(each.ok("alembic", "downgrade", "0006:0001", "--sql"))
    assert squeezed(written) == squeezed(each)


def squeezed(project: Project) -> str:
    """The content, whatever the white space in definitions."""
    return "".join("".join(project.content()).split())


def test_two_builds_and_two_fillings_are_the_same(filled: Project) -> None:
    """The sample data is made from a seed, and so is every test that uses it."""
    other = filled.beside()
    other.ok("undrop", "migrate")
    other.ok("just", "--no-deps", "sample", "300")
    assert other.content() == filled.content()


def test_a_project_without_alembic_is_told_what_to_do(each: Project) -> None:
    each.make()
    (each.root / "alembic.ini").unlink()
    assert "alembic.ini" in each.refused(2, "undrop", "migrate").err


def test_a_migration_that_is_written_to_meanwhile_starts_over(filled: Project) -> None:
    """Rows that another program commits while the migration is tried are not lost."""
    late = list(filled.client("INSERT INTO locations (code) VALUES ('late')"))
    filled.revise(
        COLOUR,
        "import subprocess",
        "if not pathlib.Path('late').exists():\n"
        "        pathlib.Path('late').touch()\n"
        f"        subprocess.run({late!r}, check=True)",
    )
    filled.ok("undrop", "migrate")
    assert revision(filled) == "9001"
    assert filled.sql("SELECT code FROM locations WHERE code = 'late'") == [("late",)]
    kept = filled.holds(filled.saved()[-1])
    assert any("late" in line for line in kept)
