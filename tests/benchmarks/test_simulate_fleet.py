"""The simulated fleet: the same seed is the same day, and what it says is what must follow from its plan."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("simpy", reason="needs simpy")

FOLDER = Path(__file__).parents[2] / "benchmarks"
SMALL: dict[str, Any] = {"workers": 12, "sessions": 200, "slowness_sigma": 0.0, "lives": 1e12}


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("simulate_fleet")


def test_a_seed_is_a_day(fleet: ModuleType) -> None:
    plan = fleet.Plan(**SMALL | {"lives": 1800.0, "slowness_sigma": 0.2})
    assert fleet.simulate(plan) == fleet.simulate(plan)
    assert fleet.simulate(plan) != fleet.simulate(replace(plan, seed=2))


def test_where_places_abound_nobody_waits(fleet: ModuleType) -> None:
    told = fleet.simulate(fleet.Plan(**SMALL, load=0.3))
    assert told["places"] == 24  # two of `arm` on each: 40.45 ms of 0.85 * 66.67
    assert told["sessions"] == 200
    assert (told["wait_s"], told["left_without"], told["overloaded"]) == ({"p50": 0, "p95": 0, "p99": 0}, 0, 0)
    assert (told["moved"], told["lost"]) == (0, 0)


def test_where_places_are_few_people_wait_and_leave(fleet: ModuleType) -> None:
    told = fleet.simulate(fleet.Plan(**SMALL, load=1.5))
    assert told["wait_s"]["p95"] > 5
    assert told["left_without"] > 0.1
    assert told["worker_hours_per_stream_hour"] == pytest.approx(0.5, rel=0.1)  # two streams on each worker


def test_packing_leaves_workers_idle_and_spreading_none_needlessly(fleet: ModuleType) -> None:
    spread, pack = (fleet.simulate(fleet.Plan(**SMALL, load=0.5, policy=policy)) for policy in ("spread", "pack"))
    assert pack["idle_workers"] > spread["idle_workers"] + 0.2
    assert pack["the_same_without_idle_workers"] < spread["the_same_without_idle_workers"]


def test_sessions_of_dead_workers_go_on_where_there_is_a_place(fleet: ModuleType) -> None:
    plan = fleet.Plan(**SMALL | {"lives": 600.0})
    roomy, full = fleet.simulate(replace(plan, load=0.3)), fleet.simulate(replace(plan, load=2.0, keep=4.5))
    assert roomy["moved"] > 20
    assert roomy["lost"] == 0
    assert roomy["dark_s"] == pytest.approx(plan.noticed, abs=0.3)
    assert full["lost"] > 0


def test_slow_machines_are_overloaded(fleet: ModuleType) -> None:
    assert fleet.simulate(fleet.Plan(**SMALL | {"slowness_sigma": 0.5}))["overloaded"] > 0.05


def test_the_curves_are_those_that_were_measured(fleet: ModuleType) -> None:
    curves = json.loads((FOLDER / "step_curves.json").read_text())
    measured = json.loads((FOLDER / "results" / "2026-11-22-two-cores.json").read_text())
    assert curves["arm"]["step_ms"] == measured["arm"]["engine"]["step_ms_by_batch"]
    assert curves["doom"]["step_ms"] == measured["doom"]["engine_again"]["step_ms_by_batch"]
    for world in ("arm", "doom", "toy"):
        assert fleet.simulate(fleet.Plan(world=world, workers=3, sessions=20))["places"] >= 3


@pytest.mark.slow
def test_the_figure_is_drawn(fleet: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    runs = [fleet.simulate(fleet.Plan(**SMALL, load=load)) for load in (0.5, 1.0)]
    fleet.draw(runs, tmp_path / "fleet.svg")
    assert (tmp_path / "fleet.svg").read_text().count("<path") > 20
