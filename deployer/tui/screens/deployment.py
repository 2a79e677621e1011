"""One deployment: how it is, its revisions, logs, figures, YAML, endpoint and a playground."""

from typing import ClassVar

from deployer.tui.screens.place import Place


class DeploymentPlace(Place):
    NAME: ClassVar[str] = "deployment"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.deployment = name

    def crumbs(self) -> list[str]:
        return ["fleet", self.deployment]
