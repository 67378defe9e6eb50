"""pyproject.toml agrees with the requirements files and with what is in the repository."""
import re
import tomllib

import pytest

from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
FILES = sorted(path.name for path in ROOT.glob("requirements-*.txt"))


def requirements(file: str) -> set[str]:
    """The lines of a requirements file and of those it includes, but for requirements.txt."""
    found: set[str] = set()
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            found |= requirements(line[3:]) if line != "-r requirements.txt" else set()
        elif line:
            found.add(line.replace('"', "'"))
    return found


def extra(name: str) -> set[str]:
    """The packages of an extra and of those it includes."""
    found: set[str] = set()
    for line in EXTRAS[name]:
        own = re.fullmatch(r"cfgrunner\[(.*)\]", line)
        found |= set().union(*(extra(part) for part in own[1].split(","))) if own else {line}
    return found


def test_there_is_an_extra_for_every_requirements_file() -> None:
    assert sorted(f"requirements-{name}.txt" for name in EXTRAS if name != "all") == FILES


@pytest.mark.parametrize("file", FILES)
def test_an_extra_has_the_packages_of_its_file(file: str) -> None:
    name = file.removeprefix("requirements-").removesuffix(".txt")
    included = extra(name) - ({"pytest>=8.0"} if name == "dev" else set())      # which is in requirements.txt
    assert included == requirements(file)


def test_the_dependencies_are_requirements_txt() -> None:
    assert {*PROJECT["dependencies"], "pytest>=8.0"} == requirements("requirements.txt")


def test_all_has_what_users_need() -> None:
    users = ("fast", "plots", "tensorboard", "video", "track", "tiff", "onnx", "completion")
    assert extra("all") == set().union(*map(extra, users))


def test_the_licence_is_that_of_the_file() -> None:
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith(f"{PROJECT['license']} License\n")
    assert PROJECT["license-files"] == ["LICENSE"] and (ROOT / "runner" / "py.typed").exists()


def test_the_pythons_are_those_that_are_tested() -> None:
    named = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if ":: Python :: 3." in line}
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    assert named == set(re.findall(r'"(3\.\d+)"', workflow))
    assert PROJECT["requires-python"] == f">={min(named, key=lambda text: int(text[2:]))}"
