"""``just run COMMAND`` on either engine: a backup first, then the command as if alone."""

import json

import pytest
from shop import Project, python, shown

UNDO = "undrop: to go back: just undo\n"


@pytest.mark.smoke
def test_a_backup_is_there_before_it_runs_and_its_output_and_code_are_its_own(
    each: Project,
) -> None:
    each.make()
    before = each.content()
    script = (
        "import os, sys; print([name for name in os.listdir('backups') if '-before-' in name]);"
        "print('err', file=sys.stderr); sys.exit(42)"
    )
    done = each.just("run", *python(script))
    [kept] = each.saved()
    assert done.code == 42
    assert kept.name in done.out
    assert "backed up to" in done.err
    assert done.err.endswith("err\n")
    assert each.holds(kept) == before


def test_an_unchanged_database_is_backed_up_once(each: Project) -> None:
    each.make()
    told = [each.undrop("run", "--", "true").err for _ in range(3)]
    assert len(each.saved()) == 1
    assert ["backed up to" in text for text in told] == [True, False, False]
    each.add(1)
    assert "backed up to" in each.undrop("run", "--", "true").err
    assert each.holds(each.saved()[-1]) == each.content()


def test_without_a_database_it_just_runs(each: Project) -> None:
    done = each.just("run", *python("print('made')"))
    assert (done.code, done.out, done.err) == (0, "made\n", "")
    assert not each.backups.exists()


@pytest.mark.full("postgresql", "drop")
@pytest.mark.parametrize("kind", ["delete", "drop", "remove", "alembic"])
def test_undo_gives_every_row_back(filled: Project, kind: str) -> None:
    command = {
        "delete": filled.client("DELETE FROM stock_movements"),
        "drop": filled.client("DROP VIEW stock_on_hand; DROP TABLE stock_movements"),
        "remove": ("bash", "-c", f"{' '.join(filled.remover())}; exit 3"),
        "alembic": ("alembic", "downgrade", "base"),
    }[kind]
    before = filled.content()
    assert filled.just("run", *command).code == (3 if kind == "remove" else 0)
    assert filled.content() != before
    filled.ok("just", "undo")
    assert filled.content() == before


@pytest.mark.parametrize("way", [("just", "run"), ("undrop", "run", "--")], ids="-".join)
def test_without_its_backup_it_does_not_run(each: Project, way: tuple[str, ...]) -> None:
    each.make()
    live = each.exact()
    each.backups.write_text("not a folder")
    done = each.run(*way, *each.remover())
    assert done.code == 1
    assert "was not changed" in done.err
    each.backups.unlink()
    done = each.run(*way, *each.remover(), QUARTERMASTER_DB_URL="mysql://db.example.org/shop")
    assert done.code == 2
    assert "was not changed" in done.err
    assert each.exact() == live


@pytest.mark.full("postgresql")
def test_a_terminal_is_told_what_changed_and_how_to_go_back(filled: Project) -> None:
    text = shown(
        filled,
        *filled.client(
            "DELETE FROM stock_movements WHERE id <= 12;"
            "UPDATE items SET name = 'x' WHERE id <= 3;"
            "INSERT INTO locations (code) VALUES ('new');"
            "DROP TABLE supplier_contacts;"
            "CREATE TABLE mine (id INTEGER PRIMARY KEY);"
            "ALTER TABLE suppliers ADD COLUMN colour TEXT"
        ),
    )
    [line] = [line for line in text.splitlines() if "the command changed" in line]
    assert set(line.removeprefix("undrop: the command changed ").split("; ")) == {
        "stock_movements: 12 rows gone",
        "items: 3 changed",
        "locations: 1 added",
        "table supplier_contacts gone",
        "table mine added",
        "suppliers: column colour added",
    }
    assert text.endswith(UNDO)
    assert "undrop: the command changed index mine_too added" in shown(
        filled, *filled.client("CREATE INDEX mine_too ON items (price_cents)")
    )
    filled.ok("undrop", "run", "--", "true")
    assert shown(filled, *filled.client("SELECT 1")).strip() == ""
    assert shown(filled, *filled.stir()).strip() == ""


def test_a_terminal_is_told_that_the_database_is_gone_and_a_script_is_not(
    filled: Project,
) -> None:
    text = shown(filled, *filled.remover())
    assert f"undrop: {filled.label} is gone\n{UNDO}" in text
    filled.ok("undrop", "undo")
    done = filled.undrop("run", "--", *filled.remover())
    assert "gone" not in done.err
    assert json.loads(filled.ok("undrop", "undo", "--json"))["undone"] == "run"
    assert filled.exists()
