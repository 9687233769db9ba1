"""Opens a drawer by planning in a dream: sample plans, dream them all at once in forks, do the beginning of the best.

    python examples/plan_arm.py --episodes 10          # needs the `train` extra (Meta-World), and minutes an episode

Nothing but pictures and past actions reaches the planner. Every few frames the latest real frames begin a dream, which
is forked once for each plan; a reader that ships with the world says from the last dreamed pictures where the hand and
the drawer are; the cross-entropy method moves the plans towards the best. The plan then meets the real simulator, and
so do the scripted expert and random motion, from the same seeds. Prints JSON: success rates, with 95 % intervals.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldloom.client.env import WorldEnv
from worldloom.models.reader import Read, Reader, load_reader

Rows = NDArray[np.float32]
"""(..., 4): hand along x, y, z, and gripper, each in [-1, 1]."""

SHUT, OPEN = 0.74, 0.54  # metres along y: the handle of a drawer that is shut, and the goal


@dataclass(frozen=True)
class Search:
    """How much is dreamed for one decision."""

    plans: int = 16  # dreamed at once
    rounds: int = 2  # of the cross-entropy method; 1: random shooting
    elite: int = 4  # plans that the next round is drawn around
    held: int = 4  # frames that one action of a plan is held
    actions: int = 3  # of a plan: it looks `held * actions` frames ahead
    done: int = 6  # frames of the best plan that are carried out
    context: int = 12  # latest real frames that a dream begins with


class Planner:
    """Decides from pictures."""

    def __init__(self, world: WorldEnv, reader: Reader, search: Search, seed: int) -> None:
        self._world, self._reader, self._search = world, reader, search
        self._rng = np.random.default_rng(seed)
        self.dreamed = 0  # frames

    def plan(self, pictures: list[NDArray[np.uint8]], led: list[Rows]) -> Rows:
        """(frames, 4) what to do now; `led[i]` is the action that led to `pictures[i]`."""
        s = self._search
        context = {"frames": np.stack(pictures[-s.context :]), "context_actions": np.stack(led[-s.context :])}
        self._world.reset(seed=len(pictures), options=context)
        mean, spread = np.zeros((s.actions, 4), np.float32), np.full((s.actions, 4), 0.8, np.float32)
        best, least = mean, np.inf
        for _ in range(s.rounds):
            drawn = self._rng.normal(mean, spread, (s.plans, s.actions, 4)).clip(-1.0, 1.0).astype(np.float32)
            drawn[0] = mean
            costs = self._dream(drawn)
            order = np.argsort(costs)
            if costs[order[0]] < least:
                best, least = drawn[order[0]], costs[order[0]]
            elite = drawn[order[: s.elite]]
            mean, spread = elite.mean(0), elite.std(0) + 0.1
        return best.repeat(s.held, 0)[: s.done]

    def _dream(self, plans: Rows) -> NDArray[np.float64]:
        """(plans,) what each costs, all dreamed in one batch."""
        forks = self._world.fork(len(plans))
        try:
            costs = np.zeros(len(plans))
            for k in range(plans.shape[1]):
                for _ in range(self._search.held):
                    pictures, *_ = forks.step(plans[:, k])
                self.dreamed += len(plans) * self._search.held
                costs += cost(self._reader.read(pictures)) * (k + 1)  # where a plan ends counts most
            return costs
        finally:
            forks.close()


def cost(read: Read) -> NDArray[np.float64]:
    """What was read from n pictures -> (n,): how far the hand is from the handle, and the handle from being open.

    As in Meta-World's own reward, what is off to the side counts more than height, so that the hand comes from above.
    """
    hand, handle = read.hand, read.thing
    aside = np.linalg.norm(3.0 * (hand - handle)[:, :2], axis=1)
    return np.asarray(np.hypot(aside, hand[:, 2] - 0.09) + 10.0 * (handle[:, 1] - OPEN), np.float64)


def play(real: Any, seed: int, decide: Callable[[list[NDArray[np.uint8]], list[Rows]], Rows]) -> dict[str, Any]:
    """One episode in the real simulator."""
    picture, info = real.reset(seed=seed)
    pictures, led = [picture], [np.zeros(4, np.float32)]
    while True:
        for row in decide(pictures, led):
            picture, _, opened, truncated, info = real.step(row)
            pictures.append(picture)
            led.append(np.asarray(row, np.float32))
            if opened or truncated:
                return {"success": bool(opened), "frames": len(pictures) - 1, "opened_m": float(SHUT - info["pose"][5])}


def wilson(successes: int, episodes: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a success rate; 95 % for that `z`. Unlike the plain one it is of use at 0 and at 1."""
    rate, slack = successes / episodes, z * z / episodes
    middle = (rate + slack / 2.0) / (1.0 + slack)
    half = z * math.sqrt(rate * (1.0 - rate) / episodes + slack / episodes / 4.0) / (1.0 + slack)
    return max(0.0, middle - half), min(1.0, middle + half)


def compare(real: Any, world: WorldEnv, search: Search, episodes: int, seed: int) -> dict[str, Any]:
    """The planner, the expert and random motion from the same seeds."""
    rng, reader = np.random.default_rng(seed), load_reader()
    planner = Planner(world, reader, search, seed)

    def held(_: Any, __: Any) -> Rows:
        return np.repeat(rng.uniform(-1.0, 1.0, (1, 4)).astype(np.float32), search.held, 0)

    deciders = {"planner": planner.plan, "expert": lambda *_: real.simulator.expert()[None], "random": held}
    found: dict[str, Any] = {"episodes": episodes, "search": vars(search)}
    for name, decide in deciders.items():
        begun = time.perf_counter()
        runs: list[dict[str, Any]] = []
        for k in range(episodes):
            runs.append(play(real, seed + k, decide))
            print(f"{name}, episode {k + 1}: {json.dumps(runs[-1])}", file=sys.stderr)  # a long run is not lost
        successes = sum(run["success"] for run in runs)
        found[name] = {
            "success_rate": successes / episodes,
            "success_interval": [round(bound, 3) for bound in wilson(successes, episodes)],
            "opened_m": [round(run["opened_m"], 3) for run in runs],
            "frames": [run["frames"] for run in runs],
            "seconds": round(time.perf_counter() - begun, 1),
        }
    return found | {"dreamed_frames": planner.dreamed}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=5_000_000, help="of the first episode; none was trained on")
    parser.add_argument("--frames", type=int, default=200, help="of an episode at most")
    for name, value in vars(Search()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    given = vars(parser.parse_args())
    episodes, seed, frames = (given.pop(name) for name in ("episodes", "seed", "frames"))
    from worldloom.models.training.real_env import RealEnv

    real, world = RealEnv("arm", max_frames=frames), WorldEnv("arm")
    try:
        print(json.dumps(compare(real, world, Search(**given), episodes, seed)))
    finally:
        real.close()
        world.close()


if __name__ == "__main__":
    main()
