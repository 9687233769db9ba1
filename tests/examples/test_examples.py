"""The examples run, and do what they say."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from worldloom.client.env import WorldEnv
from worldloom.models.catalog import shipped_worlds
from worldloom.models.reader import Read

EXAMPLES = Path(__file__).parents[2] / "examples"
needs_arm = pytest.mark.skipif("arm" not in shipped_worlds(), reason="arm is not installed")


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class DreamedSim:
    """Stands in for the real simulator: the world itself, with an expert that rests."""

    def __init__(self) -> None:
        self.simulator = self
        self.env = WorldEnv("arm", max_frames=3)

    def expert(self) -> np.ndarray[Any, Any]:
        return np.zeros(4, np.float32)

    def reset(self, *, seed: int) -> Any:
        picture, _ = self.env.reset(seed=seed)
        return picture, {"pose": np.full(7, 0.74)}

    def step(self, row: Any) -> Any:
        picture, reward, terminated, truncated, _ = self.env.step(row)
        return picture, reward, terminated, truncated, {"pose": np.full(7, 0.74)}


@pytest.mark.slow
@needs_arm
def test_planning_compares_three_ways_to_act() -> None:
    plan_arm = example("plan_arm")
    sim, world = DreamedSim(), WorldEnv("arm")
    search = plan_arm.Search(plans=3, rounds=2, elite=2, held=1, actions=2, done=2, context=2)
    found = plan_arm.compare(sim, world, search, episodes=1, seed=1)
    assert found["dreamed_frames"] == 2 * 2 * 3 * 2  # decisions, rounds, plans, frames
    for name in ("planner", "expert", "random"):
        assert found[name]["frames"] == [3]
        assert found[name]["success_rate"] == 0.0
        assert found[name]["success_interval"] == [0.0, 0.793]
    sim.env.close()
    world.close()


def test_intervals_of_rates_are_those_of_wilson() -> None:
    """Their bounds are the true rates from which what was seen is 1.96 standard deviations away."""
    wilson = example("plan_arm").wilson
    for bound in wilson(7, 10):
        assert abs(0.7 - bound) == pytest.approx(1.96 * (bound * (1.0 - bound) / 10) ** 0.5)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_a_hand_at_the_handle_of_an_open_drawer_costs_least() -> None:
    cost = example("plan_arm").cost
    hand = np.array([[0, 0.54, 0.09], [0, 0.74, 0.09], [0.1, 0.74, 0.09]], np.float32)
    thing = np.array([[0, 0.54, 0.09], [0, 0.74, 0.09], [0, 0.74, 0.09]], np.float32)
    costs = cost(Read(hand, thing, np.zeros(3, np.float32), np.zeros(3, np.int64)))
    assert costs[0] == pytest.approx(0.0, abs=1e-6)
    assert costs[0] < costs[1] < costs[2]


@pytest.mark.slow
@pytest.mark.engines
@needs_arm
def test_the_expert_opens_the_real_drawer() -> None:
    pytest.importorskip("metaworld")
    script = (  # in a process of its own: MuJoCo's renderer may exist once
        "import sys, json; sys.path.insert(0, sys.argv[1]); import plan_arm\n"
        "from worldloom.models.training.real_env import RealEnv\n"
        "real = RealEnv('arm')\n"
        "print(json.dumps(plan_arm.play(real, 5_000_000, lambda *_: real.simulator.expert()[None])))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(EXAMPLES)], capture_output=True, text=True, check=True)
    run = json.loads(done.stdout)
    assert run["success"]
    assert run["opened_m"] > 0.16


def test_a_dataset_of_dreams_holds_what_was_seen_and_done(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    pq = pytest.importorskip("pyarrow.parquet")
    recorder = example("record_lerobot")
    env = WorldEnv("toy", max_frames=5, reward_fn=lambda obs, action, after, goal: float(action[4]))
    out = tmp_path / "dreams"
    info = recorder.record(env, recorder.held(env, 0), out, episodes=2, seed=3, task="look around")
    assert info == json.loads((out / "meta/info.json").read_text())
    assert (info["codebase_version"], info["total_episodes"], info["total_frames"], info["fps"]) == ("v3.0", 2, 10, 20)
    rows = pq.read_table(out / info["data_path"].format(chunk_index=0, file_index=0)).to_pydict()
    assert set(rows) == set(info["features"]) - {"observation.images.front"}
    assert rows["index"] == list(range(10))
    assert rows["frame_index"] == [0, 1, 2, 3, 4] * 2
    assert rows["next.done"] == ([False] * 4 + [True]) * 2
    np.testing.assert_allclose(rows["timestamp"], [k / 20 for k in range(5)] * 2, atol=1e-6)
    np.testing.assert_allclose(rows["next.reward"], np.array(rows["action"])[:, 4], rtol=1e-6)
    (first, second) = pq.read_table(out / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert (second["dataset_from_index"], second["dataset_to_index"], second["length"]) == (5, 10, 5)
    assert (
        second["videos/observation.images.front/from_timestamp"]
        == first["videos/observation.images.front/to_timestamp"]
        == pytest.approx(0.25)
    )
    assert np.shape(first["stats/observation.images.front/mean"]) == (3, 1, 1)
    tasks = pq.read_table(out / "meta/tasks.parquet").to_pydict()
    assert tasks == {"task_index": [0], "__index_level_0__": ["look around"]}
    stats = json.loads((out / "meta/stats.json").read_text())
    np.testing.assert_allclose(stats["action"]["mean"], np.mean(rows["action"], 0), rtol=1e-6)
    path = out / info["video_path"].format(video_key="observation.images.front", chunk_index=0, file_index=0)
    with av.open(str(path)) as film:
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(shown) == 10
    for episode, seed in ((0, 3), (1, 4)):
        picture, _ = env.reset(seed=seed)
        for k in range(5):
            apart = np.abs(shown[5 * episode + k].astype(int) - picture).mean()
            assert apart < 6.0, "the film shows something else than the policy saw"
            picture, *_ = env.step(np.array(rows["action"][5 * episode + k]))
    env.close()
