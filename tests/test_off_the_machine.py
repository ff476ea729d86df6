"""The lines of ``docs/off-the-machine.md``: they bring back the exact bytes when all was lost."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from handed_on import Shop, until
from shop import REPOSITORY

PAGE = (REPOSITORY / "docs/off-the-machine.md").read_text("utf-8")


def section(name: str) -> tuple[list[str], str]:
    """The blocks of shell lines under a heading, and the command that is set."""
    text = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    own = next(each for each in text if each.startswith(f"{name}\n"))
    setting = tomllib.loads(*re.findall(r"```toml\n(.*?)```", own, re.DOTALL))["after-backup"]
    return re.findall(r"```sh\n(.*?)```", own, re.DOTALL), setting


@pytest.mark.more
@pytest.mark.parametrize("program", ["restic", "rclone", "age"])
def test_what_was_taken_off_the_machine_comes_back_as_it_was(program: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path / "corner shop")
    if shutil.which(program) is None:
        assert "UNDROP_CI" not in os.environ, f"{program} is not installed"
        pytest.skip(f"{program} is not installed")
    home, away = tmp_path / "home", tmp_path / "srv"
    for folder in (home, away, away / "age"):
        folder.mkdir()
    shop.environment |= {"HOME": str(home), "RESTIC_CACHE_DIR": str(home / "cache")}
    (home / ".restic-password").write_text("correct horse")

    def typed(lines: str) -> None:
        done = subprocess.run(
            ["sh", "-ec", lines.replace("/srv/", f"{away}/")],
            cwd=shop.root,
            env=shop.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done

    if program == "rclone":
        typed(f"rclone config create offsite alias remote={away}")
    blocks, command = section(program)
    *prepared, back = blocks
    for lines in prepared:
        typed(lines)
    shop.hands_on(command.replace("/srv/", f"{away}/"))
    for number in range(2):
        shop.back_up(f"number {number}")
    until(lambda: not shop.standing()["left"])
    content = shop.content()
    kept = {path.name: path.read_bytes() for path in shop.saved()}
    assert len(kept) == 2
    lost: list[Path] = [shop.backups, Path(shop.environment["XDG_STATE_HOME"])]
    for folder in lost:
        shutil.rmtree(folder)
    shop.lose()
    typed(back)
    assert shop.content() == content
    assert {path.name: path.read_bytes() for path in shop.saved()} == kept
