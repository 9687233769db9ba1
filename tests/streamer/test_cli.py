"""The `worldloom` command."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from tests.plain_http import NO_CERTIFICATES
from worldloom.streamer import __main__ as cli
from worldloom.streamer.bench_stream import _figures
from worldloom.streamer.engine import Engine
from worldloom.streamer.errors import Busy

COMMAND = [sys.executable, "-m", "worldloom.streamer"]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, list(arguments))
    return result.exit_code, result.output


def test_worlds_lists_the_toy() -> None:
    code, output = run("worlds", "--json")
    assert code == 0
    assert json.loads(output)[-1]["name"] == "toy"
    assert "toy" in run("worlds")[1]


def test_bench_engine_measures_in_real_time() -> None:
    from worldloom.streamer import bench_engine

    figures = bench_engine.bench_engine("toy", 1.0, warm_up=0.2)
    assert 0 < figures["fps"] <= 22.0, "paced by the clock"
    assert figures["period_ms"] == 50.0
    assert figures["denoising_steps"] is None, "the toy has none"
    assert 0 < figures["step_ms"]["p50"] <= figures["step_ms"]["p95"]
    assert figures["realtime_factor"] == pytest.approx(50.0 / figures["step_ms"]["p50"], rel=0.05)
    assert figures["peak_rss_mb"] > 10


def test_bench_engine_counts_those_who_were_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places are foreseen; those who are there already may step more slowly."""
    from worldloom.streamer import bench_engine

    opened = Engine.open

    def two(engine: Engine, *arguments: Any) -> Any:
        if len(engine._scheduler) == 2:
            raise Busy("every place is taken")
        return opened(engine, *arguments)

    monkeypatch.setattr(Engine, "open", two)
    assert bench_engine.bench_engine("toy", 0.3, sessions=0, warm_up=0.0)["sessions"] == 2
    with pytest.raises(Busy):
        bench_engine.bench_engine("toy", 0.3, sessions=3, warm_up=0.0)


@pytest.mark.parametrize(
    "arguments",
    [("bench", "engine", "--world", "mars"), ("serve", "--config", "/nowhere.toml"), ("serve", "--port", "70000")],
)
def test_mistakes_are_told_and_end_with_2(arguments: tuple[str, ...]) -> None:
    code, output = run(*arguments)
    assert code == 2
    assert "worldloom: " in output
    assert "Traceback" not in output


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['worldloom', '--help']\n"
        "from worldloom.streamer.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'aiortc', 'fastapi', 'playwright') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
    for command in ("serve", "doctor", "worlds", "train", "eval", "bench"):
        assert command in done.stdout


def test_train_and_eval_hand_their_arguments_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[Any, ...]] = []

    class Run:
        STAGES = ("collect", "dynamics")

        @staticmethod
        def train(name: str, **options: Any) -> Path:
            asked.append((name, options))
            return tmp_path / "arm.safetensors"

        @staticmethod
        def evaluate(name: str, **options: Any) -> dict[str, Any]:
            asked.append((name, options))
            return {"autoencoder_psnr": 30.5}

    import worldloom.models.training

    monkeypatch.setattr(worldloom.models.training, "run", Run, raising=False)
    monkeypatch.setitem(sys.modules, "worldloom.models.training.run", Run)
    monkeypatch.setitem(sys.modules, "worldloom.models.training.evaluate", Run)
    given = ["--stage", "dynamics", "--minutes", "2", "--data", str(tmp_path), "--start", "doom"]
    code, output = run("train", "arm", *given)
    assert (code, output.strip()) == (0, str(tmp_path / "arm.safetensors"))
    assert run("eval", "arm", "--json") == (0, '{"autoencoder_psnr": 30.5}\n')
    assert run("eval", "arm", "--part", "drift", "--quick", "--json")[0] == 0
    told = {"stages": ["dynamics"], "folder": None, "data": tmp_path, "start": "doom", "minutes": 2.0, "threads": None}
    assert asked == [
        ("arm", told),
        ("arm", {"folder": None, "quick": False, "parts": None, "report": None}),
        ("arm", {"folder": None, "quick": True, "parts": ["drift"], "report": None}),
    ]


def test_eval_shows_two_worlds_blind_when_told_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[Any, ...]] = []

    def compare(*given: Any, **options: Any) -> Path:
        asked.append((*given, options))
        return tmp_path / "index.html"

    monkeypatch.setattr("worldloom.models.training.versus.compare", compare)
    code, output = run("eval", "arm", "--against", "old.safetensors", "--ab", str(tmp_path))
    assert (code, output.strip()) == (0, str(tmp_path / "index.html"))
    assert asked == [("arm", "old.safetensors", tmp_path, {"folder": None})]
    code, output = run("eval", "arm", "--against", "old.safetensors")
    assert code != 0
    assert "--ab" in output


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 30
    answers = set()
    while 200 not in answers:
        assert time.monotonic() < deadline
        answers.add(httpx.get(f"{url}/readyz", trust_env=False, verify=NO_CERTIFICATES).status_code)
        time.sleep(0.05)
    assert answers <= {200, 503}


@pytest.mark.slow  # what starts, answers and ends in the fast suite is in test_server_process.py
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_it_is_and_ends_well(how: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "serve", "--world", "toy", "--port", "0", "--log", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = re.fullmatch(r"Worldloom is at (http://127\.0\.0\.1:\d+)\n", process.stdout.readline())
        assert said is not None
        wait_until_ready(said[1])
        process.send_signal(how)
        _, log = process.communicate(timeout=15)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    lines = [json.loads(line) for line in log.splitlines()]
    assert any("world toy is ready" in line["event"] for line in lines)
    assert not [line for line in lines if line["level"] in ("error", "critical")]


def test_drops_that_no_cause_explains_are_counted() -> None:
    stats = {
        "world": "toy",
        "world_fps": 20,
        "frames_shown": 190,
        "measured_s": 10.0,
        "frames_skipped": 10,
        "input_to_photon_ms": {"p50": 50.0, "p95": 80.0},
        "parts_ms": {},
        "step_ms": {"p50": 5.0, "p95": 6.0},
        "frame_interval_ms": {"p50": 50.0, "p95": 51.0},
        "key_frames_unasked": 0,
        "transport": "webrtc",
        "bitrate_kbps": 100.0,
        "rtt_ms": 1.0,
        "server": None,
    }
    figures = _figures(stats, {"replaced_on_server": 3, "dropped_by_browser": 4})
    assert figures["fps_shown"] == 19.0
    assert figures["drops_unexplained"] == 3
    assert [name for name, bound in figures["bounds"].items() if not bound["holds"]] == ["fps_shown_deviation"]
    assert _figures(stats, {"replaced_on_server": 30})["drops_unexplained"] == 0
