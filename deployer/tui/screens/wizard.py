"""A new deployment in a few steps; ends with a YAML file that validates, and its plan."""

from typing import ClassVar

from deployer.tui.screens.place import Place


class Wizard(Place):
    NAME: ClassVar[str] = "new deployment"
