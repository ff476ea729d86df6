"""An action and its arguments as the line to type in this project.

Nothing is looked up before a line is shown; and whatever cannot be found out, a line is shown.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

HOOKS = {
    "claude": ".claude/settings.json", "codex": ".codex/hooks.json",
    "copilot": ".github/hooks/undrop.json", "cursor": ".cursor/hooks.json",
    "gemini": ".gemini/settings.json", "opencode": ".opencode/plugins/undrop.ts",
}  # fmt: skip
"""Where an agent reads in a repository that it has a hook of ours, by the agent's name."""
LARGEST = 10_000_000  # bytes of a file of settings
JUSTFILES = {"justfile", ".justfile"}
"""What just looks for, whatever the case."""
RECIPES = "undrop.just"
"""The file that has ours."""
OURS = "undrop-"
"""What the names of our recipes begin with where the project has its own."""
PATIENCE = 5  # seconds for just to say which recipes there are
OWN_FILE = "undrop.toml"
"""Where a project has undrop's settings that has no pyproject.toml."""
DB = "--db"
"""The option that says which of a project's databases is meant."""
CHOICE = "UNDROP_DB"
"""The variable that says so where no option does."""
OF_NO_DATABASE = {"init", "agent-hook"}
"""Commands of ours that are about all of them."""
ENVIRONMENTS = (".venv", "venv")
"""Folders where a project has its own programs."""


class Action:
    """Something to do next: a command of undrop and its arguments.

    One that is not ``typed`` cannot be typed as it stands: an argument is to be filled in.
    """

    __slots__ = ("arguments", "name", "typed")

    def __init__(self, name: str, *arguments: str, typed: bool = True) -> None:
        self.name = name
        self.arguments = arguments
        self.typed = typed

    @classmethod
    def of(cls, words: Sequence[str]) -> Self:
        """What somebody typed."""
        return cls(*words)

    def having(self, *option: str) -> Self:
        """The same with an option, which goes first: behind ``--`` it would be none."""
        return type(self)(self.name, *option, *self.arguments, typed=self.typed)

    def of_database(self, name: str) -> Self:
        """The same about the database of that name; as it is where that is said, or is empty."""
        says = any(word == DB or word.startswith(f"{DB}=") for word in self.arguments)
        if not name or says or self.name in OF_NO_DATABASE:
            return self
        return self.having(DB, name)

    def __str__(self) -> str:
        return self.after("undrop")

    def after(self, program: str, name: str = "") -> str:
        """The line for a shell that begins with ``program``, where the action has that ``name``."""
        words = map(shlex.quote, self.arguments) if self.typed else self.arguments
        return " ".join((program, name or self.name, *words))


class Setting:
    """A line of undrop's settings that is to be set."""

    __slots__ = ("line",)

    def __init__(self, line: str) -> None:
        self.line = line

    def within(self, place: str) -> str:
        """The words for it where the settings are in ``place``."""
        return f"set `{self.line}` in {place}"


Part = Action | Setting | str
"""Of a sentence for people: an action, a setting, or words that are neither."""
Text = str | tuple[Part, ...]
"""Such a sentence; its parts have a blank between them, but before a sign."""


def sentence(
    text: Text, line: Callable[[Action], str] = str, place: str = "undrop's settings"
) -> str:
    """A text with each action in it as its ``line``, and ``place`` as where settings are."""
    said = ""
    for part in (text,) if isinstance(text, str) else text:
        if isinstance(part, str):
            words = part
        else:
            words = line(part) if isinstance(part, Action) else part.within(place)
        joined = not said or said.endswith("\n") or words.startswith((",", ";", ":", ")", "\n"))
        said += words if joined else f" {words}"
    return said


def actions(parts: Iterable[Part], database: str = "") -> list[dict[str, Any]]:
    """What in a sentence can be done as it stands, for programs; ``database`` as for ``Prompt``."""
    typed = (part for part in parts if isinstance(part, Action) and part.typed)
    return [
        {"name": action.name, "arguments": list(action.arguments)}
        for action in (part.of_database(database) for part in typed)
    ]


def settings_place(root: Path) -> str:
    """Where the project in ``root`` has undrop's settings, or would have them."""
    own = (root / OWN_FILE).is_file() or not (root / "pyproject.toml").is_file()
    return OWN_FILE if own else "[tool.undrop] of pyproject.toml"


def standing() -> Path:
    """Where the user stands: just moves to the project's folder and tells us from where."""
    return Path(os.environ.get("UNDROP_INVOKED_FROM") or Path.cwd())


class Prompt:
    """Where lines will be typed: in which project, standing where, with which PATH.

    ``path`` is the user's own: recipes put the project's programs before it and hand it on.
    ``planned`` are the recipes' names by our commands', where the justfile is still to be written.
    ``database`` is the one that it is about, by its name, where that is not the default.
    """

    def __init__(
        self,
        root: Path,
        folder: Path | None = None,
        path: str | None = None,
        planned: Mapping[str, str] | None = None,
        database: str = "",
    ) -> None:
        self._root = Path(os.path.realpath(root))
        try:
            self._folder = Path(os.path.realpath(folder or standing()))
        except FileNotFoundError:  # somebody removed it
            self._folder = Path("/")
        self._path = path or os.environ.get("UNDROP_USER_PATH") or os.environ.get("PATH", "")
        self._planned = planned
        self._database = database

    def actions(self, parts: Iterable[Part]) -> list[dict[str, Any]]:
        """What in a sentence can be done as it stands, for programs."""
        return actions(parts, self._database)

    def text(self, text: Text) -> str:
        """A sentence with each action in it as the line to type."""
        return sentence(text, self.line, settings_place(self._root))

    def line(self, action: Action) -> str:
        """The line to type: a recipe of this project, or undrop by a path that works there."""
        action = action.of_database(self._database)
        if recipe := self.recipes.get(action.name):
            line, away = action.after("just", recipe), self._is_away(_has_justfile)
        else:
            line, away = action.after(self.program), self._is_away(has_settings)
        return f"cd {shlex.quote(str(self._root))} && {line}" if away else line

    @cached_property
    def recipes(self) -> Mapping[str, str]:
        """The project's recipes, by the commands of ours that they hand their arguments to.

        None without a justfile in the project's folder, or a just on the user's PATH.
        """
        just = self._which("just")
        if not just or self._planned is not None or not _has_justfile(self._root):
            return self._planned or {} if just else {}
        import subprocess  # every command loads this module, and next to none runs just

        try:
            done = subprocess.run(  # noqa: S603 - the user's own just
                [just, "--dump", "--dump-format", "json"],
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=True,
            )
            recipes = json.loads(done.stdout)["recipes"].values()
            bodies = {recipe["name"]: json.dumps(recipe["body"]) for recipe in recipes}
        except Exception:  # noqa: BLE001 - whatever it says, a line is shown
            return {}
        ours = [name for name, body in bodies.items() if _is_ours(name, body)]
        # In a justfile that has a `restore` of its own, ours is `undrop-restore`.
        return {name.removeprefix(OURS): name for name in sorted(ours, key=len, reverse=True)}

    @cached_property
    def program(self) -> str:
        """Undrop itself, as a shell in the folder where the line is for finds it."""
        if self._which("undrop"):
            return "undrop"
        for name in (f"{folder}/bin/undrop" for folder in ENVIRONMENTS):
            own = self._root / name
            if os.access(own, os.X_OK):
                below = self._folder != self._root and not self._is_away(has_settings)
                return shlex.quote(str(own)) if below else name
        beside = Path(sys.executable).with_name("undrop")
        python = shlex.quote(sys.executable)
        return shlex.quote(str(beside)) if os.access(beside, os.X_OK) else f"{python} -m undrop"

    def _which(self, program: str) -> str | None:
        import shutil  # likewise

        return shutil.which(program, path=self._path)

    def _is_away(self, has: Callable[[Path], bool]) -> bool:
        """Whether what is looked for upwards from where the user stands is not this project's."""
        folders = (self._folder, *self._folder.parents)
        return self._root not in {self._folder, next(filter(has, folders), None)}


def command_of(recipe: str, folder: Path) -> str:
    """The command of ours that a recipe is, where one types just in ``folder``; empty for none.

    By what stands in the files, without just. What a justfile has goes before what it imports
    (just.systems/man/en/imports.html).
    """
    command = recipe.removeprefix(OURS)
    head = re.compile(
        rf"^@?{re.escape(recipe)}(?![\w-])[^\n]*?:(?!=)([^\n]*)\n((?:[ \t][^\n]*\n)*)", re.M
    )
    justfile = next(filter(None, map(_justfile, (folder, *folder.parents))), None)
    own = _text(justfile) if justfile else ""
    imported = re.findall(rf"^import\??\s+['\"]([^'\"\n]*{RECIPES})['\"]", own, re.MULTILINE)
    for text in (own, *(_text(justfile.parent / name) for name in imported[:1] if justfile)):
        if written := head.search(f"{text}\n"):
            # One of somebody's own may do more than that.
            alone = text is not own or not (written[1].strip() or "\n" in written[2].strip())
            return command if alone and _is_ours(recipe, written[2]) else ""
    return ""


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""


def _has_justfile(folder: Path) -> bool:
    return _justfile(folder) is not None


def _justfile(folder: Path) -> Path | None:
    try:
        names = (name for name in os.listdir(folder) if name.lower() in JUSTFILES)
        return next((folder / name for name in names), None)
    except (OSError, ValueError):  # likewise
        return None


def has_settings(folder: Path) -> bool:
    """Whether undrop's settings seem to be in a folder, sound or not."""
    try:
        own, file = (folder / OWN_FILE).is_file(), folder / "pyproject.toml"
        fits = file.is_file() and file.stat().st_size < LARGEST
        return own or (fits and b"[tool.undrop" in file.read_bytes())
    except (OSError, ValueError):  # no name that a folder can have is one of that
        return False


def _is_ours(name: str, body: str) -> bool:
    """Whether a recipe hands what it is given to the command of ours that has its name."""
    command = re.escape(name.removeprefix(OURS))
    return bool(re.search(rf"undrop(_command)?\W+{command}\b.*\$", body, re.IGNORECASE))
