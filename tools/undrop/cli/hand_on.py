"""after-backup: the user's own command, run for every backup that it has not taken yet."""

from undrop.cli.answer import Answer, Run
from undrop.errors import UndropError, UsageError
from undrop.recipes import Action, Setting
from undrop.store import after_backup


def hand_on(run: Run) -> Answer:
    """Run it, for one backup after the other."""
    from undrop.steps import hand_on as core

    settings = run.settings
    if not settings.after_backup:
        raise UsageError("there is no command to run", Setting('after-backup = "COMMAND"'))
    done = core.all_left(settings)
    if done.failed:
        last = done.failed[-1]
        raise UndropError(
            f"`{settings.after_backup}` failed for {len(done.failed)} of "
            f"{len(done.failed) + len(done.taken)} backup(s), the last time for {last.backup}: "
            f"{last.error}",
            f"see {settings.backups / after_backup.OUTPUT}, correct that, then",
            Action("after-backup"),
        )
    taken = [str(backup.path) for backup in done.taken]
    result = {"taken": taken, "running": done.busy}
    notes = ("it is at work already, and goes on with what is left",) if done.busy else ()
    return Answer(result, "\n".join(taken), notes if taken or done.busy else ("nothing is left",))
