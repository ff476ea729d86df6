"""``undrop agent-hook`` on either engine: a backup before what an agent does to the database."""

import json
import re
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from agents import bash, call, ended, hook
from shop import Project


def start(project: Project, **variables: str) -> dict[str, Any]:
    said = {"hook_event_name": "SessionStart", "source": "startup", "cwd": str(project.root)}
    return hook(project, said, **variables)


def decision(answer: dict[str, Any]) -> str:
    return str(answer.get("hookSpecificOutput", {}).get("permissionDecision", "goes on"))


def test_a_command_goes_on_behind_a_backup_and_undo_takes_it_back(each: Project) -> None:
    """Nobody is asked: the agent learns where the state before is, and how to go back."""
    each.make()
    before = each.content()
    answer = bash(each, "psql -f change.sql")
    [kept] = each.saved()
    assert answer == {
        "systemMessage": f"undrop: backed up to {kept}",
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "additionalContext": f"undrop: the state before this is kept in {kept}; "
            f"to go back: just undo, or just restore {kept.name}",
        },
    }
    assert each.holds(kept) == before
    assert "before-an-agent-s-psql" in kept.name
    each.sql("DELETE FROM t")
    told = ended(each, "psql -f change.sql")["hookSpecificOutput"]
    assert told["hookEventName"] == "PostToolUse"
    assert re.fullmatch(
        r"undrop: t: 50 .*rows?.*; just undo takes it back", told["additionalContext"]
    )
    each.ok("just", "undo")
    assert each.content() == before


def test_what_only_reads_takes_none_and_what_takes_the_guard_away_is_denied(
    each: Project,
) -> None:
    each.make()
    assert bash(each, "git status") == {}
    assert hook(each, call(each, "Read", file_path="backups/x.db")) == {}
    for command in ("rm -rf backups", "git clean -fdx", "just forget x"):
        answer = bash(each, command)
        assert decision(answer) == "deny", command
        said = answer["hookSpecificOutput"]["permissionDecisionReason"]
        assert re.fullmatch(r"undrop: .+\. Instead: .+", said)
    file = str(each.backups / f"{each.stem}-20260101-000000-x{each.suffix}")
    assert decision(hook(each, call(each, "Write", file_path=file, content=""))) == "deny"
    assert not each.backups.exists()


def test_all_that_is_in_the_projects_folder_is_not_taken_before_there_is_a_backup_either(
    each: Project,
) -> None:
    each.make()
    for command in ("rm -rf *", "rm -r ./*"):
        assert decision(bash(each, command)) == "deny", command
    assert not each.backups.exists()


def test_without_a_database_there_is_nothing_to_say(each: Project) -> None:
    assert bash(each, "python make_one.py") == {}
    assert "There is no database yet" in start(each)["hookSpecificOutput"]["additionalContext"]
    assert decision(bash(each, "rm -rf backups")) == "deny"
    assert not each.backups.exists()
    assert not each.exists()


def settle(project: Project) -> None:
    """Let the hook run until it knows the present state by what costs next to nothing."""
    for _ in range(20):
        bash(project, "make")
        if (project.backups / "covered.json").exists():
            return
    pytest.fail("the hook never remembered that the state has a backup")


def more_rows(project: Project) -> None:
    project.add(3)


def another_value(project: Project) -> None:
    project.sql("UPDATE t SET v = upper(v) WHERE id = 7")


def another_column(project: Project) -> None:
    project.sql("ALTER TABLE t ADD COLUMN w TEXT")


CHANGES: tuple[Callable[[Project], None], ...] = (more_rows, another_value, another_column)


def test_an_unchanged_database_is_backed_up_once_a_changed_one_again(each: Project) -> None:
    each.make()
    settle(each)
    answer = bash(each, "rm x")
    assert "systemMessage" not in answer
    [first] = each.saved()
    assert str(first) in answer["hookSpecificOutput"]["additionalContext"]
    for count, change in enumerate(CHANGES, 2):
        before = each.content()
        change(each)
        assert "systemMessage" in bash(each, "rm x")
        assert len(each.saved()) == count
        assert before != each.content() == each.holds(each.saved()[-1])


def test_backups_that_are_gone_hold_nothing(each: Project) -> None:
    each.make()
    settle(each)
    shutil.rmtree(each.backups)
    bash(each, "rm x")
    [kept] = each.saved()
    kept.unlink()
    bash(each, "rm x")
    [kept] = each.saved()
    assert each.holds(kept) == each.content()


def test_a_session_starts_with_a_backup_and_the_rule(each: Project) -> None:
    each.make()
    answer = start(each)
    [kept] = each.saved()
    assert answer["systemMessage"] == f"undrop: backed up to {kept}"
    assert answer["hookSpecificOutput"]["hookEventName"] == "SessionStart"
    rule = answer["hookSpecificOutput"]["additionalContext"]
    for word in (each.label, "just migrate", "just undo", "just restore", str(kept)):
        assert word in rule
    assert "permissionDecision" not in answer["hookSpecificOutput"]
    assert "systemMessage" not in start(each)
    assert len(each.saved()) == 1


def unable(answer: dict[str, Any], why: str) -> None:
    """Nothing goes on in silence: the user sees why, and is asked."""
    assert "NO BACKUP HOLDS THE PRESENT STATE" in answer["systemMessage"]
    assert re.search(why, answer["systemMessage"])
    assert decision(answer) == "ask"
    assert answer["hookSpecificOutput"]["permissionDecisionReason"] == answer["systemMessage"]


def test_a_locked_database_is_asked_about_soon(each: Project) -> None:
    """The deadline of ten seconds is for a person's step; an agent's every call waits for this."""
    each.make()
    with each.locked():
        unable(bash(each, "rm x"), "lock")
    assert each.saved() == []


def test_without_a_place_for_backups_the_user_is_asked(each: Project) -> None:
    each.make()
    each.backups.write_text("not a folder")
    unable(bash(each, "rm x"), "backups")
    answer = start(each)
    assert "NO BACKUP HOLDS THE PRESENT STATE" in answer["systemMessage"]
    assert answer["hookSpecificOutput"] == {
        "hookEventName": "SessionStart",
        "additionalContext": answer["systemMessage"],
    }


def test_it_explains_what_it_would_decide(each: Project) -> None:
    each.make()
    done = each.undrop("agent-hook", "--explain", "git clean -fdx")
    assert done.out == "denied: git clean -x takes backups/, too\n"
    assert "instead: git clean -fdx -e backups" in done.err
    said = json.loads(each.ok("undrop", "agent-hook", "--json", "--explain", "rm x"))
    assert said.keys() == {"command", "decision", "why", "safer"}
    assert said["decision"] == "goes on"
    assert each.saved() == []
