"""`deployer ui`, `plan --ui`, `apply --ui`: the application over a fleet, to its end. Called by the command line."""

import os
from collections.abc import Callable, Mapping

from deployer.app.fleet import Fleet
from deployer.app.passwords import Passwords
from deployer.app.planned import Planned
from deployer.app.preferences import read
from deployer.app.session import Session
from deployer.plan.world import Options
from deployer.tui import keys, themes
from deployer.tui.app import DeployerApp


def run(
    open_fleet: Callable[[Passwords], Fleet],
    *,
    begin: str = "fleet",
    planned: Callable[[Fleet], Planned] | None = None,
    options: Options | None = None,
    why: str | None = None,
    read_only: bool = False,
    look: Mapping[str, object] | None = None,
) -> int:
    """Returns the exit code. `planned`: a plan to begin with instead of making one. `look`: what the command line says
    against the preferences (theme, ascii, mouse). Raises UsageError for a theme, a key or a name that there is not.
    """
    if not os.environ.get("NO_COLOR", "-"):
        del os.environ["NO_COLOR"]  # empty counts as not said; Textual takes it for said
    preferences = read()
    keys.check(preferences.keys, preferences.source)
    if look:
        preferences = preferences.model_copy(update={**look, **({"source": None} if "theme" in look else {})})
    asking: list[DeployerApp] = []
    fleet = open_fleet(Passwords(lambda prompt: asking[0].ask_password(prompt) if asking else ""))
    if options is not None:
        fleet.known(deployments=options.names, hosts=options.hosts, tags=options.tags)
    session = Session(fleet, read_only=read_only, why=why)
    app = DeployerApp(session, preferences=preferences, begin=begin, options=options)
    themes.full(app, preferences.theme, preferences.source)
    if planned is not None:
        session.review(planned(fleet))
    asking.append(app)
    code = app.run(mouse=preferences.mouse)
    if app.fault is not None and code != 0:
        raise app.fault
    return exit_code(session) or code or 0


def exit_code(session: Session) -> int:
    """Of the apply that was seen to its end here; 0 when there was none."""
    operation = session.operation
    if operation is None or operation.report is None:
        return operation.error.exit_code if operation is not None and operation.error is not None else 0
    return 0 if operation.state == "detached" else operation.report.exit_code
