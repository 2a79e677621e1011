"""A plan as a text that people send each other. Used by the terminal UI; `deployer plan --format` prints the same."""

from pathlib import Path

from deployer.app.planned import Planned
from deployer.errors import DeployerError


def export(planned: Planned, path: Path) -> Path:
    """Markdown for a name that ends in .md, plain text for any other. Raises DeployerError when it cannot be written."""
    if path.suffix == ".md":
        from deployer.plan.markdown import render

        text = render(planned.plan)
    else:
        text = planned.text()
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DeployerError(f"the plan cannot be written: {error.strerror}", where=str(path)) from None
    return path
