"""The wheel holds what it should, under the names it should, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # builds the package

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "worldloom/client",
    "worldloom/client/js",
    "worldloom/configs",
    "worldloom/configs/train",
    "worldloom/demo",
    "worldloom/models",
    "worldloom/models/data",
    "worldloom/models/training",
    "worldloom/models/wan",
    "worldloom/streamer",
    "worldloom/streamer/gateway",
    "worldloom/streamer/transports",
}


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    # A copy: setuptools builds in the sources, and these tests may run side by side.
    sources = shutil.copytree(ROOT, folder / "sources", ignore=shutil.ignore_patterns(".*", "runs", "build", "tests"))
    options = ("--no-deps", "--no-build-isolation", "--quiet", "-w", folder)
    command = [sys.executable, "-m", "pip", "wheel", *options, sources]
    subprocess.run([str(part) for part in command], check=True, capture_output=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_exact_packages(contents: set[str]) -> None:
    found = {str(Path(name).parent) for name in contents if ".dist-info" not in name}
    assert found == PACKAGES


def test_the_page_the_worlds_and_the_notices_travel(contents: set[str]) -> None:
    wanted = {"worldloom/demo/index.html", "worldloom/demo/app.js", "worldloom/client/js/worldloom.js"}
    wanted |= {f"worldloom/models/data/{p.name}" for p in (ROOT / "models" / "data").glob("*.[js][sa]*")}
    wanted |= {f"worldloom/configs/train/{p.name}" for p in (ROOT / "configs" / "train").glob("*.toml")}
    assert wanted <= contents
    assert {Path(n).name for n in contents if ".dist-info/licenses" in n} == {"LICENSE", "NOTICE"}


def test_no_tests_and_no_runs_travel(contents: set[str]) -> None:
    left_behind = ("tests", "runs")
    assert not [n for n in contents if any(part.startswith(left_behind) for part in n.split("/"))]
    assert not [n for n in contents if n.endswith((".pt", ".npy", ".partial"))]
