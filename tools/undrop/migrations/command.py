"""A migration tool of any make: a command that is led to the work copy by a variable, or a word.

Nothing is known of what it does but by looking: no fence is around it, and which migrations ran
nobody tells. ``steps.strayed`` looks whether it went to the live database instead.
"""

import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from undrop import durable, folders
from undrop.engines import registry
from undrop.errors import UndropError, UsageError
from undrop.migrations.flask_app import LOADING
from undrop.recipes import Action, Setting
from undrop.values import Moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undrop.settings import Settings
    from undrop.values import Target

URL = "{url}"
PLACES = ("{path}", URL)
"""What is filled in: the absolute path of the work copy, or SQLAlchemy's URL of it."""
CREATE = "migrate-create"
AGAIN = "correct that, then the same command again"


class Command:
    """One run of the project's own migration command, or of one that was typed (``tool.Tool``).

    Raises UsageError for what cannot be started, and for what nothing leads to the work copy.
    """

    in_place = False
    fenced = False
    reads_accepts_loss = False

    def __init__(self, settings: "Settings", words: "Sequence[str]", *, typed: bool) -> None:
        self._settings, self._words, self._typed = settings, [*words], typed
        self.goes_to: list[str] | None = []
        self.name = " ".join([w for w in words if w[0:1] != "-" and not _has_place([w])][:3])
        self._create = _split(settings.migrate_create, CREATE) if settings.migrate_create else []
        for command in (self._words, self._create):
            if command and not _is_there(command[0], settings.root):
                raise UsageError(f"there is no command {command[0]}", "install it, or correct that")
        if not (settings.variable or _has_place(self._words)):
            raise UsageError(
                f"nothing leads `{self.line}` to the work copy",
                Setting('url-variable = "DATABASE_URL"'),
                ", the variable that it reads; or put {path} or {url} where it takes the database",
            )

    @property
    def line(self) -> str:
        """As it is typed in a shell."""
        return shlex.join(self._words)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def typed(self, *options: str) -> Action:
        """The same asked for once more, with such options."""
        return Action("migrate", *options, *(["--", *self._words] if self._typed else []))

    def run(self, target: "Target") -> Moved:
        """Run it on ``target``, which it is told of in its own form; ``steps`` is 1.

        Raises UsageError, and UndropError with its exit code when it fails.
        """
        began = time.monotonic()
        environment = {**os.environ, LOADING: "1"}  # env.py's hook takes the copy for the database
        if variable := self._settings.variable:
            form = self._settings.migrate_url or URL
            environment[variable] = self._filled(form, target)
        files_before = written(self._settings)
        try:
            if self._create and self._is_file and not durable.size(Path(target.database)):
                Path(target.database).unlink()
                self._start(self._create, target, environment)
            self._start(self._words, target, environment)
        finally:
            self._tell(files_before)
        table = self._settings.engine.session.version_table
        return Moved([], [], 1, [], table, [], time.monotonic() - began)

    def discard(self) -> None:
        """Nothing: what it made beside the work copy is not known."""

    @property
    def _is_file(self) -> bool:
        return self._settings.engine.file is not None

    def _filled(self, text: str, target: "Target") -> str:
        settings = self._settings
        kind, url = settings.engine.kind, settings.url
        return registry.named(text, kind, url, target, is_file=self._is_file)

    def _start(
        self, words: "Sequence[str]", target: "Target", environment: dict[str, str]
    ) -> None:
        filled = [self._filled(word, target) for word in words]
        asked, ask = os.pipe()
        try:
            with subprocess.Popen(  # noqa: S603 - our own module, and the user's command
                [sys.executable, "-P", "-m", "undrop.migrations.leash", str(asked), *filled],
                cwd=self._settings.root,
                env=environment,
                stdout=2,
                pass_fds=[asked],
            ) as process:
                try:
                    code = process.wait()
                except BaseException:
                    os.close(ask)
                    ask = -1
                    raise
        finally:
            os.close(asked)
            if ask >= 0:
                os.close(ask)
        if code:
            raise UndropError(f"`{shlex.join(words)}` ended with {code}", AGAIN)

    def _tell(self, files_before: dict[str, tuple[int, ...]]) -> None:
        """Have the session say which of the project's files were written meanwhile."""
        files = written(self._settings)
        changed = {name for name, facts in files.items() if files_before.get(name) != facts}
        self._settings.engine.session.wrote.update(changed | (files_before.keys() - files.keys()))


def of_settings(settings: "Settings", words: "Sequence[str]") -> Command:
    """The project's own. Raises UsageError, also for words, of which it would know nothing."""
    command = _split(settings.migrate_command, "migrate-command")
    if words:
        raise UsageError(
            f"migrate-command is `{settings.migrate_command}`, and takes no {' '.join(words)}",
            Action("migrate", "--", *command),
            ", with what it is to do",
        )
    return Command(settings, command, typed=False)


def written(settings: "Settings") -> dict[str, tuple[int, ...]]:
    """Files of the project's by their names, and what changes when one is written.

    A bounded look (``folders``): not what is hidden, nor databases and their backups.
    """
    engine, files = settings.engine, {}
    live = f"{engine.file}" if engine.file else "\0"
    for folder, children in folders.below(settings.root, apart=[settings.backups]):
        for child in children:
            path = folder / child.name
            if child.name.startswith(".") or str(path).startswith(live):
                continue
            with suppress(OSError):
                facts = child.stat(follow_symlinks=False)
                is_known = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
                files[str(path.relative_to(settings.root))] = is_known
    return files


def _split(line: str, setting: str) -> list[str]:
    try:
        if words := shlex.split(line):
            return words
    except ValueError as error:
        raise UsageError(f"{setting} is no command's line: {error}", "correct it") from None
    raise UsageError(f"{setting} is empty", "correct it")


def _is_there(program: str, root: Path) -> bool:
    """Whether it can be started in the project's folder."""
    if "/" in program:
        return os.access(root / program, os.X_OK)
    return shutil.which(program) is not None


def _has_place(words: "Sequence[str]") -> bool:
    return any(place in word for word in words for place in PLACES)
