"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.threaded import threaded
from worldloom.models.catalog import shipped_worlds

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.skipif("arm" not in shipped_worlds(), reason="the README embeds arm, which is not installed")
def test_the_python_in_the_readme_runs(tmp_path: Path) -> None:
    code, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_client_in_the_readme_drives_a_server(tmp_path: Path) -> None:
    _, code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    with threaded() as url:
        address = url.replace("http://", "ws://")
        code = code.replace("ws://127.0.0.1:8000", address).replace('"doom"', '"toy"') + "\nprint(receipt.status)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "applied\n"), done.stderr


def test_commands_in_the_readme_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)) <= targets
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_files_that_the_readme_names_exist() -> None:
    named = re.findall(r"^ *((?:client|streamer|models)/[\w/]+\.(?:py|js))", README, re.MULTILINE)
    named += re.findall(r"\]\(((?:docs|NOTICE)[^)#]*)\)", README)
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).exists()]
