import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import LockfileError
from deployer.lock.target import Target, lock_path, wanted_targets
from deployer.state.needs import EnvironmentNeed


def test_a_target_names_python_processor_and_c_library() -> None:
    target = Target.parse("3.11/aarch64/glibc-2.36")
    assert (target.python, target.arch, target.glibc, target.platform) == ("3.11", "aarch64", "2.36", "aarch64-manylinux_2_36")
    assert str(target) == "3.11/aarch64/glibc-2.36"


@pytest.mark.parametrize(
    "text", ["", "3.11", "3.11/x86_64/musl-1.2", "3.11/x86_64/glibc-2.36\n", "2.7/x86_64/glibc-2.36", "3.11/arm/glibc-2.36"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(LockfileError) as raised:
        Target.parse(text)
    assert "3.11/x86_64/glibc-2.36" in (raised.value.hint or "")


def test_each_environment_and_target_has_its_own_file() -> None:
    assert lock_path("vllm-0.33.0+cu13", "3.11/x86_64/glibc-2.36") == "locks/vllm-0.33.0+cu13.3.11-x86_64-glibc-2.36.txt"


@given(st.text(max_size=12))
def test_no_name_of_an_environment_leads_out_of_the_folder(name: str) -> None:
    try:
        path = lock_path(name, "3.11/x86_64/glibc-2.36")
    except LockfileError:
        return
    assert path.count("/") == 1
    assert ".." not in path
    assert path.isprintable()


def test_only_targets_with_a_fitting_python_are_wanted() -> None:
    need = EnvironmentNeed("e", ("x",), python=">=3.10")
    assert wanted_targets(need, ("3.9/x86_64/glibc-2.31", "3.11/x86_64/glibc-2.36")) == ("3.11/x86_64/glibc-2.36",)
    with pytest.raises(LockfileError, match="needs Python >=3.10, and no target has it"):
        wanted_targets(need, ("3.9/x86_64/glibc-2.31",))
    with pytest.raises(LockfileError, match="not a version range"):
        wanted_targets(EnvironmentNeed("e", ("x",), python="new"), ("3.9/x86_64/glibc-2.31",))
