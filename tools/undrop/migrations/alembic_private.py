"""What we take of Alembic that it keeps to itself; nowhere else is a private name of its.

``tests/test_alembic_private.py`` tries it on the oldest release that we support and the newest.
"""

from functools import wraps
from typing import TYPE_CHECKING, Any

from alembic.script.revision import MultipleHeads, ResolutionError
from alembic.util import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alembic.runtime.migration import MigrationContext, RevisionStep
    from alembic.script import Script, ScriptDirectory

    Plans = Callable[[tuple[str, ...], MigrationContext], Iterable[Any]]


def planned(
    script: "ScriptDirectory", revision: str, current: tuple[str, ...]
) -> "list[RevisionStep]":
    """The migrations from the revision(s) ``current`` to ``revision``, in their order, up or down.

    It is what ``alembic upgrade`` would run, and where that has nothing to run, or cannot go there,
    what ``alembic downgrade`` would: these two make their plans. The public ``iterate_revisions``
    gives revisions only: it reads no ``+2`` or ``-1`` against several heads, and does not say which
    rows of the version table a merge or a branch takes and leaves.

    Raises CommandError, in Alembic's words, where neither knows the way.
    """
    refused: list[Exception] = []
    branch, _, _ = revision.rpartition("@")
    script.get_revisions(branch or "base")  # downgrade overlooks a branch that there is not
    try:
        if up := list(script._upgrade_revs(revision, current)):  # type: ignore[arg-type]  # several
            return up
    except (CommandError, AssertionError) as error:  # it asserts that no walk ends below the base
        if isinstance(error.__cause__, ResolutionError | MultipleHeads):
            raise  # it names nothing, or many
        refused.append(error)
    try:
        return list(script._downgrade_revs(revision, current))  # type: ignore[arg-type]
    except (CommandError, AssertionError) as error:
        if not refused:
            return []  # all of it ran already, on other branches or for those that depend on it
        refused.append(error)
    if "-" in revision:  # no name has one: it was to go down
        refused.reverse()
    for said in refused:
        if isinstance(said, CommandError):
            raise said
    nothing = ResolutionError(f"No such revision or branch {revision!r}", revision)
    raise CommandError(f"Can't locate revision identified by {revision!r}") from nothing


def announce(step: "RevisionStep", file: str, to: "Callable[[str], None]") -> None:
    """Have ``to`` know that the ``file`` runs when that migration does."""
    run = step.migration_fn

    @wraps(run)
    def announced(**options: Any) -> Any:  # noqa: ANN401 - whatever Alembic hands on
        to(file)
        try:
            return run(**options)
        finally:
            to("")

    step.migration_fn = announced


def watch_heads(context: "MigrationContext", to: "Callable[[set[str]], None]") -> None:
    """Have ``to`` know the rows of the version table after each migration.

    Which those are where revisions depend on another branch's, Alembic alone knows. Its option
    ``on_version_apply`` is ``env.py``'s to set, so that ours goes behind those.
    """

    def applied(*, heads: set[str], **_: Any) -> None:  # noqa: ANN401 - the rest it tells
        to(heads)

    context.on_version_apply_callbacks = (*context.on_version_apply_callbacks, applied)


def below(revision: "Script") -> list[str]:
    """The revisions that come before one, those that it depends on included."""
    return list(revision._all_down_revisions)


def destination(context: Any) -> Any:  # noqa: ANN401 - Alembic's module of proxies
    """Where the running command goes, as it was typed; None for one that goes nowhere.

    The public ``get_revision_argument`` resolves it, for which it loads every migration: too early
    for an env.py that sets ``version_locations`` later.
    """
    return _options(context).get("destination_rev")


def configured(context: Any, then: "Callable[[MigrationContext], None]") -> None:  # noqa: ANN401
    """Call ``then`` each time that env.py has told Alembic which database it migrates."""
    environment = _environment(context)
    configure = getattr(environment, "configure", None)
    if configure is None:
        return

    @wraps(configure)
    def told(*arguments: Any, **options: Any) -> None:  # noqa: ANN401 - whatever env.py gives
        configure(*arguments, **options)
        then(environment.get_context())

    environment.configure = told


def when_it_ends(context: Any, then: "Callable[[Any], None]") -> None:  # noqa: ANN401
    """Call ``then`` with the environment when the command is through with ``env.py``, well or not.

    ``EnvironmentContext.__exit__`` takes the functions out of ``alembic.context`` by
    ``_remove_proxy``; Alembic has no public hook there.
    """
    environment = _environment(context)
    remove = getattr(environment, "_remove_proxy", None)
    if remove is None:
        return

    def removed() -> None:
        try:
            remove()
        finally:
            then(environment)

    environment._remove_proxy = removed


def plans(environment: Any, revision: str | None) -> "Plans | None":  # noqa: ANN401
    """How a command of Alembic's plans what it runs, before it does; None where it runs nothing.

    An upgrade or a downgrade is sent to ``revision``, if that is named. Which command it is the
    name of its function alone tells.
    """
    options = environment.context_opts
    if options.get("destination_rev") is None:
        return None
    own: Plans = options["fn"]
    if revision is None or getattr(own, "__name__", "") not in {"upgrade", "downgrade"}:
        return own
    options["destination_rev"] = revision
    return lambda current, _: planned(environment.script, revision, current)


def ensures_version(context: Any) -> bool:  # noqa: ANN401 - Alembic's module of proxies
    """Whether the running command is ``alembic ensure_version``, which makes the version table.

    No public name tells which command is running: this one alone has a function of that name.
    """
    return getattr(_options(context).get("fn"), "__name__", "") == "do_ensure_version"


def _environment(context: Any) -> Any:  # noqa: ANN401
    """What ``alembic.context`` hands its public names on to: it hides that in ``_proxy``."""
    return getattr(context, "_proxy", None)


def _options(context: Any) -> dict[str, Any]:  # noqa: ANN401
    return getattr(_environment(context), "context_opts", {})
