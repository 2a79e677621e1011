"""`deployer ui`, `plan --ui`, `apply --ui`: the application over a fleet, to its end. Called by the command line."""

from collections.abc import Callable

from deployer.app.fleet import Fleet
from deployer.app.passwords import Passwords
from deployer.app.planned import Planned
from deployer.app.preferences import read
from deployer.app.session import Session
from deployer.plan.world import Options
from deployer.tui.app import DeployerApp


def run(
    open_fleet: Callable[[Passwords], Fleet],
    *,
    begin: str = "fleet",
    planned: Callable[[Fleet], Planned] | None = None,
    options: Options | None = None,
    read_only: bool = False,
    ascii_only: bool = False,
) -> int:
    """Returns the exit code. `planned`: a plan to begin with instead of making one."""
    preferences = read()
    asking: list[DeployerApp] = []
    fleet = open_fleet(Passwords(lambda prompt: asking[0].ask_password(prompt) if asking else ""))
    session = Session(fleet, read_only=read_only)
    if planned is not None:
        session.review(planned(fleet))
    app = DeployerApp(session, preferences=preferences, begin=begin, options=options, ascii_only=ascii_only)
    asking.append(app)
    code = app.run(mouse=preferences.mouse)
    if app.fault is not None and code:
        raise app.fault
    return _code(session) or code or 0


def _code(session: Session) -> int:
    """Of the apply that was seen to its end here; 0 when there was none."""
    operation = session.operation
    if operation is None or operation.report is None:
        return operation.error.exit_code if operation is not None and operation.error is not None else 0
    return 0 if operation.state == "detached" else operation.report.exit_code
