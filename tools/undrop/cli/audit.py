"""audit: a table of all that was checked, and what to do about each finding."""

from typing import TYPE_CHECKING

from undrop import settings
from undrop.cli.answer import Answer, Run
from undrop.errors import CheckError
from undrop.recipes import Prompt

if TYPE_CHECKING:
    from undrop.steps.audit import Checked

COLUMNS = ("CHECKED", "FOUND", "")


def audit(run: Run) -> Answer:
    """Check everything; exit 4 where something is to be done."""
    from undrop.steps import audit as core

    several = [run.settings] if run.is_named else settings.every(run.settings)
    checked = [*core.audit(several)]
    findings = [each for each in checked if each.to_do]

    def prompt(each: "Checked") -> Prompt:
        return Prompt(run.settings.root, database=each.database)

    result = {
        "database": run.settings.engine.label,
        "checked": [
            {
                "name": each.name,
                "said": each.said,
                "finding": bool(each.to_do),
                "next": prompt(each).text(each.to_do),
                "next_actions": prompt(each).actions(each.to_do),
            }
            for each in checked
        ],
        "findings": len(findings),
    }
    rows = tuple((each.name, each.said, "FINDING" if each.to_do else "") for each in checked)
    notes = tuple(
        prompt(each).text((f"{each.name}: {each.said}. To do:", *each.to_do)) for each in findings
    )
    code = CheckError.exit_code if findings else 0
    return Answer(result, notes=notes, table=(COLUMNS, *rows), code=code)
