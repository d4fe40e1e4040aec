"""Wheel and source distribution: what is in them, and that the wheel, far from the sources, is the whole product."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Final

import pytest

from streams.policy.packs import __file__ as packs
from tests.setup.environments import (
    DEMO,
    ROOT,
    THIS,
    StepFailedError,
    balanced,
    fresh_copy,
    held_by_git,
    installed,
    locked,
    run,
)
from tests.setup.image import carry_out

pytestmark = pytest.mark.timeout(900)
"""What is installed is fetched first, which the network decides."""

VERSION: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
ONLY_BUILDS: Final = {"editables", "hatchling", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
"""Packages of the runtime lock that the product does not need once its wheel is built."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git holds."""
    return fresh_copy(tmp_path_factory.mktemp("packages") / "tree")


def build(kind: str, tree: Path, target: Path) -> Path:
    """A package made by the locked build backend, which is in the environment of the tests: nothing is fetched."""
    run([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target], tree)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from the tree."""
    return build("wheel", tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from the tree."""
    return build("sdist", tree, tmp_path_factory.mktemp("sdist"))


def test_the_wheel_holds_the_package_and_the_schemas_and_nothing_else(wheel: Path) -> None:
    information = f"mesura-{VERSION}.dist-info/"
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.startswith(information)}
    package = {name for name in held_by_git() if name.startswith("streams/")}
    schemas = {f"streams/_{name}" for name in held_by_git() if name.startswith("schemas/")}
    assert names == package | schemas
    assert {"streams/policy/packs/starter.yaml", "streams/_schemas/asyncapi.yaml"} <= names


def test_the_source_distribution_holds_what_git_holds(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {member.name.removeprefix(f"mesura-{VERSION}/") for member in archive if member.isfile()}
    assert names == {*held_by_git(), "PKG-INFO"}


def test_the_source_distribution_makes_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    again = build("wheel", tmp_path / f"mesura-{VERSION}", tmp_path / "again")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


@pytest.fixture(scope="module")
def image(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment of the image. The folder that its wheel was built in is gone before it is used."""
    target = tmp_path_factory.mktemp("image")
    environment = carry_out(tree, THIS, target, PIP_NO_CACHE_DIR="")  # which to pip is the same as unset
    shutil.rmtree(target / "build")
    return environment


def test_the_image_holds_what_the_product_needs_and_nothing_else(image: Path) -> None:
    needed = {name: version for name, version in locked("runtime", THIS.version).items() if name not in ONLY_BUILDS}
    assert installed(image / "bin" / "python") == {**needed, "mesura": VERSION}


def test_the_wheel_is_the_whole_product_in_an_empty_folder(image: Path, tmp_path: Path) -> None:
    where = "import json, sys, streams.gate; print(json.dumps([streams.gate.__file__, sys.base_prefix, *sys.path]))"
    gate, python, here, *path = json.loads(run([image / "bin" / "python", "-c", where], tmp_path))
    assert Path(gate).is_relative_to(image / "lib")
    assert here == "", "the empty folder"
    assert all(Path(entry).is_relative_to(image) or Path(entry).is_relative_to(python) for entry in path)
    mesura = image / "bin" / "mesura"
    said = run([mesura, "demo", *DEMO], tmp_path)
    assert balanced(said), said
    assert not list(tmp_path.iterdir()), "the demo writes nothing"


def test_the_wheel_brings_the_policies_and_the_schema_they_are_checked_with(image: Path, tmp_path: Path) -> None:
    mesura = image / "bin" / "mesura"
    own = tmp_path / "own.yaml"
    own.write_bytes((Path(packs).parent / "starter.yaml").read_bytes())
    of_file = run([mesura, "policy", "check", own.name], tmp_path)
    assert of_file.replace("own.yaml:", "starter:") == run([mesura, "policy", "check", "starter"], tmp_path)
    own.write_text(own.read_text().replace("kind: cap", "kind: lid", 1))
    with pytest.raises(StepFailedError, match="lid"):
        run([mesura, "policy", "check", own.name], tmp_path)
