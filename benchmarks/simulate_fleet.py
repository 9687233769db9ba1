"""Ten thousand sessions over five hundred workers, simulated: who waits how long, who shares with whom, what it costs.

    python benchmarks/simulate_fleet.py --json fleet.json --figure docs/fleet.svg

What happens is in `fleet_simulation.py`, over the step curves of `step_curves.json`: arrivals are Poisson, stays
lognormal, machines grow slower and faster, workers die. No price is assumed: cost is worker-hours for each hour of
stream. Knows no network, no encoder and no browser.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from fleet_simulation import Plan, Simulation

from worldloom.streamer.gateway.placement import Policy

HERE = Path(__file__).parent
COLOURS = {"spread": "#2a6f97", "pack": "#c1592b", "random": "#7a7a7a"}


def simulate(plan: Plan, curves: dict[str, Any] | None = None) -> dict[str, Any]:
    """One run of a plan."""
    return Simulation(plan, curves or json.loads((HERE / "step_curves.json").read_text())).run()


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Four curves over the load, by policy."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams |= {"svg.hashsalt": "worldloom", "font.size": 9}
    panels: list[tuple[str, Any]] = [
        ("waiting time, p95 [s]", lambda run: run["wait_s"]["p95"]),
        ("left without a place [%]", lambda run: 100 * run["left_without"]),
        ("stream time overloaded [%]", lambda run: 100 * run["overloaded"]),
        ("busy worker-hours for an hour of stream", lambda run: run["the_same_without_idle_workers"]),
    ]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(11, 2.6), layout="constrained")
    for axis, (title, of) in zip(axes, panels, strict=True):
        for policy in get_args(Policy):
            mine = [run for run in runs if run["plan"]["policy"] == policy]
            loads = sorted({run["plan"]["load"] for run in mine})
            means = [fmean(of(run) for run in mine if run["plan"]["load"] == load) for load in loads]
            axis.plot(loads, means, marker="o", markersize=3, color=COLOURS[policy], label=policy)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("load")
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="arm", help="whose step curve")
    parser.add_argument("--loads", default="0.7,0.8,0.9,0.95,1.0")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each plan")
    parser.add_argument("--sessions", type=int, default=Plan.sessions)
    parser.add_argument("--workers", type=int, default=Plan.workers)
    parser.add_argument("--json", type=Path, help="where the numbers go; printed when absent")
    parser.add_argument("--figure", type=Path, help="where the figure goes, an SVG")
    given = parser.parse_args()
    base = Plan(world=given.world, sessions=given.sessions, workers=given.workers)
    runs = [
        simulate(replace(base, policy=policy, load=float(load), seed=seed))
        for policy in get_args(Policy)
        for load in given.loads.split(",")
        for seed in range(1, given.seeds + 1)
    ]
    text = json.dumps({"plan": asdict(base), "runs": runs}, indent=1)
    if given.json is None:
        print(text)
    else:
        given.json.write_text(text + "\n")
    if given.figure is not None:
        draw(runs, given.figure)


if __name__ == "__main__":
    main()
