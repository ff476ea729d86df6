"""audit: a table of all that was checked, and what to do about each finding."""

from undrop import recipes
from undrop.cli.answer import Answer, Run
from undrop.errors import CheckError

COLUMNS = ("WHAT", "FOUND", "")


def audit(run: Run) -> Answer:
    """Check everything; exit 4 where something is to be done."""
    from undrop.steps import audit as core

    checked = [*core.audit(run.settings)]
    findings = [each for each in checked if each.to_do]
    result = {
        "database": run.settings.engine.label,
        "checked": [
            {
                "name": each.name,
                "said": each.said,
                "finding": bool(each.to_do),
                "next": run.prompt.text(each.to_do),
                "next_actions": recipes.actions(each.to_do),
            }
            for each in checked
        ],
        "findings": len(findings),
    }
    rows = tuple((each.name, each.said, "FINDING" if each.to_do else "") for each in checked)
    notes = tuple((f"{each.name}: {each.said}. To do:", *each.to_do) for each in findings)
    code = CheckError.exit_code if findings else 0
    return Answer(result, notes=notes, table=(COLUMNS, *rows), code=code)
