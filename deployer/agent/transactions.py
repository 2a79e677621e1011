"""One transaction of a run while it is under way. Kept by the runner; its report goes to the controller."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Set

from deployer.agent.context import StepFailed


class Transaction:
    """`state`: pending, begun, undoing, and at the end one of the report's words."""

    def __init__(self, number: int, data: Dict[str, Any]) -> None:
        self.number = number
        self.data = data
        self.id = str(data["id"])
        self.needs: List[str] = list(data.get("needs") or [])
        self.steps: List[Dict[str, Any]] = data["steps"]
        self.done: Set[int] = set()
        self.state = "pending"
        self.failed_step: Optional[str] = None
        self._told: Dict[str, Any] = {}

    @property
    def name(self) -> str:
        return str(self.data.get("deployment") or self.id)

    def finish(self) -> None:
        """It is done when all its steps are; one without steps is done too."""
        if self.state in ("pending", "begun") and len(self.done) == len(self.steps):
            self.state = "done"

    def settle(
        self, state: str, problem: Optional[StepFailed] = None, problems: Optional[List[str]] = None, message: str = ""
    ) -> None:
        self.state = state
        if problem is not None:
            self._told = {"message": problem.message, "cause": problem.cause, "hint": problem.hint, "log": problem.log}
        else:
            self._told = {"message": message}
        if problems:
            self._told["message"] = "%s; and it could not be undone: %s" % (self._told["message"], "; ".join(problems))

    def report(self) -> Dict[str, Any]:
        found = dict(self._told, state=self.state, step=self.failed_step)
        return {key: value for key, value in found.items() if value}
