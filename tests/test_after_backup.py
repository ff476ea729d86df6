"""``after-backup``: the user's own command is run for every backup, and no step waits for it."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from agents import hook
from handed_on import Shop, until
from shop import Project

TAKES = (
    'test -z "$UNDROP_INSTEAD" && cp "$UNDROP_BACKUP" "$UNDROP_RECORD" ../away/ '
    '&& echo "$UNDROP_BACKUP" >> ../away/order'
)


@pytest.fixture
def shop(project: Project, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(project.root.parent / "corner shop")
    monkeypatch.setenv("XDG_STATE_HOME", made.environment["XDG_STATE_HOME"])
    return made


def running(pipe: Path) -> int:
    """The process of a command that has written its number, and waits for the pipe's other end."""
    number = pipe.with_suffix(".pid")
    until(lambda: number.exists() and number.read_text().strip())
    return int(number.read_text())


def held(shop: Shop, name: str = "gate") -> tuple[Path, str]:
    """A pipe, and a command that waits for somebody to write to it, before it takes a backup."""
    pipe = shop.root.parent / name
    os.mkfifo(pipe)
    return pipe, f"echo $$ > ../{name}.pid; cat ../{name}; rm ../{name}.pid; {TAKES}"


def test_a_backup_is_handed_on_while_nobody_waits_for_it(shop: Shop) -> None:
    """The command's streams are none of ours: whoever reads those to their end waits for none."""
    pipe, command = held(shop)
    shop.hands_on(command)
    first = shop.back_up("$(touch pwned); 'lunch'\n")
    pid = running(pipe)
    assert os.getsid(pid) != os.getsid(0), "it would go with the terminal"
    told = shop.standing()
    assert (told["left"], told["running"], told["error"]) == (1, True, "")
    assert "all but 1 backup(s), the oldest of just now: after-backup is at work" in shop.line()
    second = shop.back_up("while it is at work")
    pipe.write_text("")
    running(pipe)
    until(lambda: shop.order() == [first.name])
    pipe.write_text("")
    until(lambda: shop.standing()["left"] == 0)
    assert shop.order() == [first.name, second.name], "each once, though two wanted to run it"
    assert (shop.away / second.name).read_bytes() == second.read_bytes()
    assert (shop.away / f"{second.stem}.json").exists()
    assert shop.line() == "handed on  every backup, to after-backup"
    assert not list(shop.root.rglob("pwned*"))


def test_what_the_command_did_not_take_is_said_and_tried_again(shop: Shop) -> None:
    """Those from before the setting was there as well; the oldest first, each until it is taken."""
    old = shop.back_up("before the setting")
    shop.hands_on("echo no route to host; echo; exit 7")
    new = shop.back_up("with it")
    until(lambda: shop.standing()["error"])
    until(lambda: not shop.standing()["running"])
    told = shop.standing()
    assert (told["left"], told["error"]) == (2, "no route to host")
    assert told["since"].startswith("20")
    line = "all but 2 backup(s), the oldest of just now; the last time after-backup failed: "
    assert shop.line() == f"handed on  {line}no route to host: undrop after-backup"
    audit = shop.run("undrop", "audit")
    assert audit.code == 4
    assert "2 backup(s) not taken: no route to host. To do: undrop after-backup" in audit.err
    failed = shop.run("undrop", "after-backup")
    assert failed.code == 1
    assert "failed for 2 of 2 backup(s)" in failed.err
    assert "backups/after-backup.out, correct that, then undrop after-backup" in failed.err
    shop.hands_on(f'case "$UNDROP_BACKUP" in *before-the*) kill -9 $$ ;; esac; {TAKES}')
    assert f"for {old.stem}: killed by SIGKILL" in shop.run("undrop", "after-backup").err
    assert shop.order() == [new.name], "one that fails keeps no other back"
    shop.hands_on(TAKES)
    third = shop.back_up("again")
    until(lambda: shop.standing()["left"] == 0)
    assert shop.order() == [new.name, old.name, third.name]
    assert shop.done("undrop", "after-backup").err == "undrop: nothing is left\n"


def test_one_that_was_killed_is_run_again(shop: Shop) -> None:
    """Whoever ran it, too; and what is missing altogether fails no step."""
    pipe, command = held(shop)
    shop.hands_on(command)
    backup = shop.back_up("one")
    pid = running(pipe)
    runner = psutil.Process(pid).parent()
    assert runner
    runner.kill()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not shop.standing()["running"])
    assert shop.standing()["left"] == 1
    shop.hands_on("/no/such/program")
    shop.ok("undrop", "run", "true")
    assert "not found" in shop.run("undrop", "after-backup").err
    shop.hands_on(TAKES)
    assert shop.ok("undrop", "after-backup") == f"{backup}\n"
    assert shop.order() == [backup.name]


def test_an_agents_calls_are_handed_on_when_its_session_ends(shop: Shop) -> None:
    shop.hands_on(TAKES)
    call = {"session_id": "one", "cwd": str(shop.root), "tool_name": "Bash"}
    for number in range(2):
        shop.add(1)
        hook(
            shop,
            {
                **call,
                "hook_event_name": "PreToolUse",
                "tool_use_id": f"toolu_{number}",
                "tool_input": {"command": "sqlite3 quartermaster.db vacuum"},
            },
        )
    assert len(shop.saved()) == 2
    assert shop.standing() == {**shop.standing(), "left": 2, "running": False, "error": ""}
    assert not (shop.backups / "after-backup.taken").exists(), "nothing was started"
    hook(shop, {**call, "hook_event_name": "SessionEnd"})
    until(lambda: shop.standing()["left"] == 0)
    assert shop.order() == [path.name for path in shop.saved()]


def test_only_a_new_name_is_handed_on(shop: Shop) -> None:
    """What looks, and what finds its state held, starts nothing; damaged files are no backup."""
    shop.hands_on(TAKES)
    backup = shop.back_up("one")
    until(lambda: shop.order() == [backup.name])
    until(lambda: not shop.standing()["running"])
    shop.ok("undrop", "run", "true")
    shop.ok("undrop", "verify")
    shop.database.write_bytes(b"no database")
    shop.ok("undrop", "restore", backup.name)
    assert list(shop.backups.glob("*.damaged"))
    assert shop.standing()["left"] == 0
    for name in (".lock", "covered.json"):  # a folder that a person has copied may have neither
        (shop.backups / name).unlink()
    shop.ok("undrop", "backup", "in a folder with the command's notes")
