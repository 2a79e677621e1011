"""Rules of placement that contradict each other are found in the files, at their line."""

from pathlib import Path

import pytest

from deployer.engines import settings_models
from deployer.errors import SpecError
from deployer.spec.load import load_fleet

DEPLOYMENT = "name: {name}\nmodel: {{path: models/tiny}}\nengine: {{ctranslate2: {{}}}}\n{more}"


def problems(root: Path, more: str, other: str = "") -> list[str]:
    files = {
        "deployer.yaml": "id: 7f3a9c21\nname: acme\n",
        "hosts/h1.yaml": "name: h1\naddress: 10.0.0.1\nlabels: {rack: r1, gpu: h100}\n",
        "hosts/h2.yaml": "name: h2\naddress: 10.0.0.2\nlabels: {rack: r1}\n",
        "deployments/chat.yaml": DEPLOYMENT.format(name="chat", more=more),
        "deployments/embed.yaml": DEPLOYMENT.format(name="embed", more=other),
    }
    (root / "models" / "tiny").mkdir(parents=True)
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    try:
        load_fleet(root, settings_models())
    except SpecError as error:
        return [f"{p.file}:{p.line}:{p.column}: {p.message} ({p.hint})" for p in error.problems]
    return []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("{strategy: pack, spread_by: rack}", "40: spread_by has no effect with strategy: pack (write one of the two)"),
        ("{spread_by: rak}", "24: no host has a label 'rak' (did you mean rack?)"),
        ("{apart: zone}", "20: no host has a label 'zone' (there are gpu, host, rack)"),
        ("{gpus: 0, gpu: H100}", "27: placement.gpu wants a GPU, and placement.gpus is 0 (write one of the two)"),
        ("{gpu_memory: 40GiB, gpus: 0}", "25: placement.gpu_memory wants a GPU, and placement.gpus is 0 (write one of the two)"),
        ("{gpu_share: 30%, gpus: 0}", "24: placement.gpu_share wants a GPU, and placement.gpus is 0 (write one of the two)"),
        ("{gpu_share: 0.3}", "24: placement.gpu_share must be a share of a GPU from 1% to 99%, such as 30%, not 0.3 (None)"),
        ("{gpu_share: 100%}", '24: placement.gpu_share must be a share of a GPU from 1% to 99%, such as 30%, not "100%" (None)'),
        ("{gpu_share: 0%}", '24: placement.gpu_share must be a share of a GPU from 1% to 99%, such as 30%, not "0%" (None)'),
        (
            "{labels: {gpu: h100}, hosts: [h1, h2]}",
            "46: 'h2' has no label gpu: h100, which placement.labels asks for (take it out, or correct the labels)",
        ),
        ("{apart_from: [chat]}", "26: a deployment cannot stand apart from itself (apart: host keeps its replicas apart)"),
        ("{apart_from: [embd]}", "26: there is no deployment 'embd' (did you mean embed?)"),
        (
            "{hosts: [h1], apart_from: [embed]}",
            "39: it stands apart from embed, and both are allowed on h1 alone (give one of them another host)",
        ),
        (
            "{apart: rack}\nreplicas: 2",
            "20: 2 replicas stand apart by rack, and the placement allows only 1 value of rack (fewer replicas, or more hosts)",
        ),
        (
            "{apart: host, labels: {gpu: h100}}\nreplicas: 2",
            "20: 2 replicas stand apart by host, and the placement allows only 1 host (fewer replicas, or more hosts)",
        ),
    ],
)
def test_rules_that_contradict_each_other_are_refused_at_their_line(tmp_path: Path, more: str, said: str) -> None:
    assert problems(tmp_path, f"placement: {more}\n", "placement: {hosts: [h1]}\n") == [f"deployments/chat.yaml:4:{said}"]


@pytest.mark.parametrize(
    "more",
    [
        "{strategy: pack, apart: host}",
        "{spread_by: rack, apart: host}",
        "{apart_from: [embed]}",
        "{gpu: H100, gpu_memory: 40GiB}",
        "{gpus: 2, gpu_share: 30%}",
    ],
)
def test_rules_that_agree_are_taken(tmp_path: Path, more: str) -> None:
    assert problems(tmp_path, f"placement: {more}\nreplicas: 2\n") == []
