"""`deployer init`: a first fleet that is valid as it is, and says what to write where. Called by `app`."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from deployer.spec.schema import schemas, text_of

_FLEET = """\
# yaml-language-server: $schema=schemas/deployer.schema.json
id: "{id}"            # made once by `deployer init`: hosts know the fleet by it, keep it
name: {name}
# environment: prod      # prod is coloured red and asks for its name
# gateway: {{hosts: [gpu-01], insecure: true}}   # plain HTTP that other machines reach, said aloud
"""

_HOSTS = """\
# One file per host. For example gpu-01.yaml:
#
#   # yaml-language-server: $schema=../schemas/host.schema.json
#   name: gpu-01
#   address: 10.0.0.11
#   user: deploy           # may use sudo
#   labels: {gpu: h100}
#
# Then: deployer hosts trust gpu-01 (shows the host's key, a person confirms it), deployer hosts probe gpu-01
"""

_DEPLOYMENTS = """\
# One file per deployment. For example chat.yaml:
#
#   # yaml-language-server: $schema=../schemas/deployment.schema.json
#   name: chat
#   model:
#     repo: Qwen/Qwen3-0.6B
#   engine: {vllm: {max_model_len: 8192}}
#   placement: {labels: {gpu: h100}, gpus: 1}
#   endpoint:
#     keys: [{name: team-a, secret: {env: TEAM_A_KEY}}]
#
# Then: deployer validate, deployer lock, deployer plan
"""

_IGNORE = """\
# saved plans, keys of lab hosts, caches
.deployer/
"""


def init(directory: Path, *, id: str, name: str, settings: Mapping[str, type[BaseModel]] | None = None) -> list[str]:
    """Writes what is missing of a minimal fleet and returns the names of the files it wrote; nothing is overwritten.

    `id` is random (the caller draws it); with `settings`, the engines' models, the schemas for editors are written too.
    """
    files = {
        "deployer.yaml": _FLEET.format(id=id, name=name),
        "hosts/README.txt": _HOSTS,
        "deployments/README.txt": _DEPLOYMENTS,
        ".gitignore": _IGNORE,
    }
    for file, schema in schemas(settings).items() if settings is not None else ():
        files[f"schemas/{file}"] = text_of(schema)
    return [name for name, text in files.items() if _write(directory / name, text)]


def _write(path: Path, text: str) -> bool:
    """False when something of that name is there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        return False
    return True
