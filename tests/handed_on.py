"""A shop whose backups a command of its own takes away, in the background."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shop import Project

PATIENCE = 20  # seconds for what runs in the background


def until(condition: Callable[[], object]) -> None:
    """Wait for what happens there."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


class Shop(Project):
    """A project with a small database, and a folder that backups are taken away to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.make()
        self.away = root.parent / "away"
        self.away.mkdir()

    def hands_on(self, command: str) -> None:
        """Set the command."""
        file = self.root / "pyproject.toml"
        text = file.read_text("utf-8")
        kept = "".join(
            line for line in text.splitlines(keepends=True) if "after-backup" not in line
        )
        own = f"[tool.undrop]\nafter-backup = {json.dumps(command)}\n"
        file.write_text(kept.replace("[tool.undrop]\n", own, 1), "utf-8")

    def back_up(self, reason: str) -> Path:
        """A backup of a state of its own."""
        self.add(1)
        return Path(self.ok("undrop", "backup", reason).strip())

    def order(self) -> list[str]:
        """What was taken, one after the other."""
        file = self.away / "order"
        return [Path(line).name for line in file.read_text().splitlines()] if file.exists() else []

    def standing(self) -> dict[str, Any]:
        """What ``status`` says of it, in JSON."""
        told = json.loads(self.run("undrop", "status", "--json").out)["after_backup"]
        assert isinstance(told, dict)
        return told

    def line(self) -> str:
        """And for people."""
        lines = self.run("undrop", "status").out.splitlines()
        return next(line for line in lines if line.startswith("handed on"))
