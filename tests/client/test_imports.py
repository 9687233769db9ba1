"""The client is light: importing it loads no torch and needs nothing but its three dependencies."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "aiortc", "av", "PIL", "fastapi", "uvicorn", "cv2", "safetensors")

# Makes every package but the three dependencies (and what they bring) impossible to import.
SCRIPT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ImportError(name + " is not installed")

sys.meta_path.insert(0, Absent())
import {modules}
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & set({heavy!r}))
assert not loaded, loaded
"""


def importing(modules: str, *, absent: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(absent=absent, modules=modules, heavy=HEAVY)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_the_client_imports_with_the_base_install() -> None:
    modules = "worldloom.client, worldloom.client.blocking, worldloom.client.lockstep"
    result = importing(modules, absent=(*HEAVY, "gymnasium", "pydantic_settings", "starlette"))
    assert result.returncode == 0, result.stderr


def test_the_environment_needs_gymnasium_and_no_torch() -> None:
    assert importing("worldloom.client.env", absent=HEAVY).returncode == 0
    without = importing("worldloom.client.env", absent=("gymnasium",))
    assert "gymnasium is not installed" in without.stderr


def test_the_toy_world_runs_in_process_without_torch() -> None:
    script = (
        "import sys; from worldloom.client.env import WorldEnv; env = WorldEnv('toy'); env.reset(seed=0); "
        "env.step(env.action_space.sample()); env.close(); assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr


def test_webrtc_is_loaded_only_when_it_is_asked_for() -> None:
    result = importing("worldloom.client.webrtc", absent=("aiortc",))
    assert "aiortc is not installed" in result.stderr
