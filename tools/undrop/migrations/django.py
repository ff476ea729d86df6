"""``manage.py migrate`` on a database of our choosing, in a process of its own, fenced in."""

import time
from typing import TYPE_CHECKING

from undrop.errors import UndropError, UsageError
from undrop.migrations.message import DjangoRequest, Reply
from undrop.migrations.process import AGAIN, CORRECT, Child, Waiting, asked, others
from undrop.recipes import Action

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.values import Moved, Target

MOST = 2  # words: an application's label, and a migration of it


class Django(Waiting):
    """Django, loading from now on: that lasts longer than the backup that is taken meanwhile.

    ``words`` are what somebody would type behind ``manage.py migrate`` (``tool.Tool``). Raises
    UsageError for more of them.
    """

    name = "Django"
    in_place = False  # SQLite's table rebuilds refuse to be in a transaction around them
    fenced = True
    together = False
    reads_accepts_loss = True

    def __init__(self, settings: "Settings", words: list[str]) -> None:
        refuse(words)
        assert settings.django  # noqa: S101 - or it would be another tool
        if not settings.django.is_file():
            raise UsageError(f"there is no {settings.django}", "let `django` in the settings say")
        self.goes_to: list[str] | None = [] if words else None
        self._words, self._settings = words, settings
        super().__init__(lambda: _child(settings), settings.engine.session)

    def typed(self, *options: str) -> Action:
        """The same asked for once more, with such options."""
        return Action("migrate", *self._words, *options)

    def run(self, target: "Target") -> "Moved":
        """Bring ``target`` there with the project's manage.py. Raises as ``tool.Tool.run`` does."""
        request = _request(self._settings)._replace(words=self._words, target=target)
        began = time.monotonic()
        answer = self.ask(request.to_json())
        if answer.refused:
            raise _refusal(answer)
        if answer.wrong:
            raise self._wrong(answer)
        if answer.moved is None:
            raise UndropError(f"the migration failed: {answer.error}", CORRECT)
        return answer.moved._replace(seconds=time.monotonic() - began)

    def _wrong(self, answer: Reply) -> UsageError:
        """The error for words, or settings, that Django cannot use."""
        what = f"Django says: {answer.error}"
        if not self._words:
            return UsageError(what, f"correct that, {AGAIN}")
        return UsageError(what, _manage(self._settings, "showmigrations"), " shows them all")


def refuse(words: list[str]) -> None:
    """Raise UsageError for more words than there can be."""
    if len(words) > MOST:
        raise UsageError(
            f"{' '.join(words)} is more than an application and a migration of it",
            Action("migrate", *words[:MOST]),
        )


def look(settings: "Settings") -> Reply:
    """Which migrations Django knows, or that they cannot be read."""
    if settings.django is None or not settings.django.is_file():
        return Reply()
    return asked(_child(settings), _request(settings).to_json())


def _child(settings: "Settings") -> Child:
    assert settings.django  # noqa: S101 - or it would be another tool
    return Child("Django", "undrop.migrations.django_child", settings.django.parent)


def _request(settings: "Settings") -> DjangoRequest:
    return DjangoRequest(
        manage=str(settings.django),
        root=str(settings.root),
        live=str(settings.engine.file or ""),
        url=settings.url,
        kind=settings.engine.kind,
        others=others(settings),
    )


def _manage(settings: "Settings", *words: str) -> Action:
    assert settings.django  # noqa: S101 - or it would be another tool
    return Action("run", "python", str(settings.django.relative_to(settings.root)), *words)


def _refusal(answer: Reply) -> UndropError:
    """The error for project code that would have changed another database."""
    what = f"refused: {answer.error}"
    if answer.refused == "live":
        way = "let it take the connection that it is handed (schema_editor.connection)"
        return UndropError(what, f"{way}; {AGAIN}")
    return UndropError(
        what,
        f"take that out of it, {AGAIN}; or let it do that, behind a backup of the live one:",
        Action("run", "python", "manage.py", "migrate"),
    )
