"""`worldloom capacity`: what it says is what admission says, and proving it finds where sessions do not keep up."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import pytest
from typer.testing import CliRunner

from worldloom.models.spec import Actions, Frames
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.__main__ import app
from worldloom.streamer.capacity_command import KEPT, proven
from worldloom.streamer.engine_config import EngineConfig


class Slow(ToyWorld):
    """Takes 13 ms for each stream: three keep 20 frames a second, four do not."""

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        time.sleep(0.013 * len(states))
        return super().step(states, actions)


def test_it_says_what_fits_and_what_limits() -> None:
    done = CliRunner().invoke(app, ["capacity", "toy", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["world"] == "toy"
    limit, places = min(((name, n) for name, n in told["by_limit"].items() if n is not None), key=lambda pair: pair[1])
    assert (told["limit"], told["places"]) == (limit, places)
    assert 1 <= places <= told["by_limit"]["setting"] == 64
    assert told["memory"]["budget_bytes"] > told["memory"]["session_bytes"] > told["memory"]["state_bytes"] > 0
    assert "tried" not in told


def test_a_world_that_is_not_there_is_refused() -> None:
    done = CliRunner().invoke(app, ["capacity", "nowhere"])
    assert done.exit_code != 0
    assert "no world named" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("expected", [1, 3, 6])
def test_proving_finds_where_it_breaks(expected: int) -> None:
    tried = proven(Slow(height=6, width=8), EngineConfig(), expected, 2.0)
    kept = {count for count, fps in tried.items() if fps >= KEPT * 20}
    assert kept, tried
    assert max(kept) in (2, 3), tried  # a busy machine sleeps longer than it is told
    assert any(count > max(kept) for count in tried)
