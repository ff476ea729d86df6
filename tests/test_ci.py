"""The workflow of ``docs/ci.md`` says what a branch would lose; its lines typed without GitHub."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from shop import REPOSITORY, Project

WORKFLOW = yaml.safe_load((REPOSITORY / "docs/rehearse.yml").read_text("utf-8"))
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["rehearse"]["steps"]
ELSEWHERE = {"install": "needs a network", "comment": "needs GitHub"}


def test_the_workflow_is_one_and_hands_no_expression_to_a_shell() -> None:
    """``${{ … }}`` in a line for a shell would be the title of somebody's pull request."""
    assert {"name", "permissions", "jobs"} < WORKFLOW.keys()
    assert WORKFLOW[True] == "pull_request"  # YAML 1.1 takes `on` for that
    assert [each.get("name") for each in STEPS[2:]] == [
        *("install", "fetch", "rehearse", "comment", "end as the rehearsal did")
    ]
    for step in STEPS:
        assert ("uses" in step) != ("run" in step)
        assert "${{" not in step.get("run", "")


@pytest.mark.more
@pytest.mark.parametrize("loses", [True, False])
def test_a_branch_is_rehearsed_on_the_newest_backup_and_the_report_is_written(
    stocked: Project, tmp_path: Path, *, loses: bool
) -> None:
    if shutil.which("rclone") is None:
        assert "UNDROP_CI" not in os.environ, "rclone is not installed"
        pytest.skip("rclone is not installed")
    stocked.ok("just", "backup")
    shutil.copytree(stocked.backups, offsite := tmp_path / "offsite")
    fresh = Project(tmp_path / "checkout")
    fresh.revise("op.execute('DELETE FROM supplier_contacts')" if loses else "pass")
    outputs = tmp_path / "outputs"
    fresh.environment |= {
        "HOME": str(tmp_path),
        "GITHUB_OUTPUT": str(outputs),
        "RCLONE_CONFIG_OFFSITE_TYPE": "alias",
        "RCLONE_CONFIG_OFFSITE_REMOTE": str(offsite.parent),
    }
    codes = []
    for step in STEPS:
        if "run" not in step or step["name"] in ELSEWHERE:
            continue
        if outputs.exists():
            fresh.environment["CODE"] = outputs.read_text().strip().removeprefix("code=")
        line = step["run"].replace("offsite:shop", "offsite:offsite")
        codes.append(fresh.run("bash", "-e", "-o", "pipefail", "-c", line).code)
    assert codes == [0, 0, 4 if loses else 0]
    report = (fresh.root / "report.md").read_text("utf-8")
    assert report.startswith("### Rehearsed: <code>0006 -&#62; 9001, 1 migration(s)</code>")
    assert ("<code>rows supplier_contacts</code>" in report) == loses
