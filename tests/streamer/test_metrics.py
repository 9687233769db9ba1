"""Instruments: one registry an app, bounded labels."""

from __future__ import annotations

import json
import re
from pathlib import Path

from worldloom.streamer.errors import Busy
from worldloom.streamer.metrics import CODES, Metrics


def test_two_apps_do_not_clash() -> None:
    one, other = Metrics(), Metrics()
    one.sessions.labels("toy").set(3)
    assert b'worldloom_sessions{world="toy"} 3.0' in one.text()
    assert b"toy" not in other.text()


def test_unknown_codes_share_one_label() -> None:
    metrics = Metrics()
    metrics.error(Busy.code)
    for number in range(100):
        metrics.error(f"made_up_{number}")
    text = metrics.text()
    assert b'worldloom_errors_total{code="busy"} 1.0' in text
    assert b'worldloom_errors_total{code="other"} 100.0' in text
    assert b"made_up" not in text


def test_codes_are_those_of_the_tree() -> None:
    assert {"busy", "bad_offer", "model_fault", "internal_error", "unknown_key", "rate_limited"} <= CODES


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    board = json.loads((Path(__file__).parents[2] / "docs" / "grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"worldloom_\w+", query)}
    kinds = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    lines = re.findall(r"# TYPE (\w+) (\w+)", Metrics().text().decode())
    known = {name.removesuffix("_total") + ending for name, kind in lines for ending in kinds.get(kind, ())}
    assert len(asked) >= 10
    assert asked <= known
