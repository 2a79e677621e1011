"""Put into an engine's environment on a lab host (with a .pth file that imports it): what makes a real engine fail.

Does nothing unless FOLDER holds a file with the name of the unit this process serves: "exit" ends it at its start with 1,
"hang" lets it answer everything but an inference.
"""

import os
import sys

FOLDER = "/srv/faults/engines"


def _mode() -> str:
    unit = os.path.basename(os.environ.get("CREDENTIALS_DIRECTORY", ""))
    try:
        with open(os.path.join(FOLDER, unit), encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _hang(module) -> None:  # type: ignore[no-untyped-def]
    import threading

    real, asked = module.Generator.generate_batch, []

    def generate_batch(*args, **kwargs):  # type: ignore[no-untyped-def]
        asked.append(1)
        if len(asked) > 1:  # the first is the server's own try at its start
            threading.Event().wait()
        return real(*args, **kwargs)

    module.Generator.generate_batch = generate_batch


class _Hanging:
    """Waits for ctranslate2 to be imported, and makes its generator hang."""

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name != "ctranslate2":
            return None
        sys.meta_path.remove(self)
        import importlib.util

        spec = importlib.util.find_spec(name)
        loader = spec.loader
        run = loader.exec_module

        def exec_module(module) -> None:  # type: ignore[no-untyped-def]
            run(module)
            _hang(module)

        loader.exec_module = exec_module
        return spec


if _mode() == "exit":
    print("RuntimeError: an engine that was told to fail", file=sys.stderr, flush=True)
    os._exit(1)
elif _mode() == "hang":
    sys.meta_path.insert(0, _Hanging())
