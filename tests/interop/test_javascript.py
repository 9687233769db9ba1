"""The JavaScript client outside a browser: its types before the TypeScript compiler, its logic in Node, its package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.serving import ServerProcess

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

HERE = Path(__file__).parent
CLIENT = HERE.parents[1] / "client" / "js"


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    if shutil.which("node") is None:
        pytest.skip("no Node.js on this machine")


def run(*command: str | Path, folder: Path = CLIENT, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_types_hold(packages: Path) -> None:
    compiler = packages / "typescript" / "bin" / "tsc"
    if not compiler.is_file():
        pytest.skip("no package typescript from npm; `make test-interop` installs it where there is npm")
    run("node", compiler, "--project", CLIENT)


@pytest.mark.parametrize("name", ["client", "input", "sticks", "view", "walk"])
def test_its_logic_in_node(name: str) -> None:
    run("node", "--test", HERE / "javascript" / f"{name}.test.mjs")


def test_it_drives_a_real_server_from_node(server: ServerProcess) -> None:
    # Node 22 has a WebSocket; Node 20 has it behind this flag.
    path = HERE / "javascript" / "server.test.mjs"
    run("node", "--experimental-websocket", "--test", path, WORLDLOOM_URL=server.url)


def test_it_can_be_packed_and_imported(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("no npm on this machine")
    (packed,) = json.loads(run("npm", "pack", "--json", "--pack-destination", tmp_path))
    names = {file["path"] for file in packed["files"]}
    assert names == {path.name for path in CLIENT.iterdir()} - {"tsconfig.json"}
    run("npm", "init", "--yes", folder=tmp_path)
    run("npm", "install", "--offline", "--no-audit", "--no-fund", f"./{packed['filename']}", folder=tmp_path)
    script = "import('worldloom').then((m) => console.log(Object.keys(m).join(' ')))"
    assert run("node", "--eval", script, folder=tmp_path).split() == [
        "Refused",
        "Replay",
        "World",
        "captureGamepad",
        "captureInput",
        "captureTouchPad",
        "connect",
        "defaultSticks",
        "listScenes",
        "listTwins",
        "listWorlds",
        "openTwin",
        "packWalk",
        "unpackWalk",
    ]
