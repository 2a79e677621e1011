"""Scripts that another environment's Python runs. They import nothing of ours."""

import os


def child(name: str) -> str:
    """Where one of them lies: beside us, in the unpacked archive too."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
