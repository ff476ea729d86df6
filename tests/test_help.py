"""What undrop says about itself: help, examples, versions, and what a shell completes."""

import shlex
import shutil
import sqlite3

import pytest
from shop import Project, make

from undrop.cli.commands import COMMANDS, parser
from undrop.cli.examples import EXAMPLES

BASH = """
eval "$(undrop completion bash)"
COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9
read -ra COMP_WORDS <<< "$1"
_python_argcomplete undrop
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'undrop completion fish | source; complete -C "$argv[1]" | cut -f 1'


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_two_lines_that_can_be_typed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser(name).parse_args([name, "--help"])
    shown = capsys.readouterr().out
    assert len(EXAMPLES[name]) == 2
    for line, what in EXAMPLES[name]:
        assert f"  {line} " in shown
        assert what in shown
        words = shlex.split(line.removeprefix('eval "$(').removesuffix(')"'))
        assert words[0] == "undrop"
        parser().parse_args(words[1:])
    assert max(map(len, shown.splitlines())) <= 96


def test_an_unknown_option_gives_the_nearest_and_the_usage_of_that_command(
    project: Project,
) -> None:
    what, usage, changed, following = project.refused(
        2, "undrop", "restore", "latest", "--dryrun"
    ).err.splitlines()
    assert what == "undrop: restore: there is no option --dryrun; the nearest is --dry-run"
    assert usage.strip().startswith("usage: undrop restore [-h] [--from-litestream]")
    assert changed.strip() == "The live database was not changed."
    assert following.strip() == "Next: just restore latest --dry-run"


def test_the_versions_are_those_that_work_together_here(project: Project) -> None:
    shown = project.ok("undrop", "--version")
    assert f"SQLite {sqlite3.sqlite_version}" in shown
    assert "Alembic 1." in shown
    assert "pg_dump" in shown


@pytest.mark.parametrize(
    "shell",
    [("bash", BASH), pytest.param(("fish", FISH), marks=pytest.mark.more)],
    ids=["bash", "fish"],
)
def test_a_shell_completes_commands_options_and_names(
    project: Project, shell: tuple[str, str]
) -> None:
    program, script = shell
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    make(project.database)
    project.ok("undrop", "backup", "before lunch")
    [saved] = project.saved()

    def completed(line: str) -> list[str]:
        behind = (line,) if program == "fish" else ("bash", line)
        return project.ok(program, "-c", script, *behind).split()

    assert completed("undrop rest") == ["restore"]
    assert completed("undrop verify --lite") == ["--litestream"]
    assert completed(f"undrop restore {saved.name[:20]}") == [saved.name]


def test_zsh_gets_a_script_too(project: Project) -> None:
    assert project.ok("undrop", "completion", "zsh").startswith("#compdef undrop")
    assert project.undrop("completion", "tcsh").code == 2
