"""Instruments: one registry an app, bounded labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from worldloom.streamer.errors import Busy
from worldloom.streamer.metrics import CODES, Metrics

BOARD = Path(__file__).parents[2] / "docs" / "grafana.json"


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


def test_the_dashboard_asks_for_all_metrics_and_no_others() -> None:
    board = json.loads(BOARD.read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"worldloom_\w+", query)}
    kinds = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    exported = [
        {name.removesuffix("_total") + ending for ending in kinds[kind]}
        for name, kind in re.findall(r"# TYPE (\w+) (\w+)", Metrics().text().decode())
        if kind in kinds
    ]
    assert asked <= set().union(*exported)
    assert [names for names in exported if not names & asked] == []


def test_the_dashboard_asks_for_labels_that_exist() -> None:
    """`le` is of every histogram; the others are those of the metrics in the same query."""
    metrics = dict(_labels(Metrics()))
    for panel in json.loads(BOARD.read_text())["panels"]:
        for target in panel["targets"]:
            names = re.findall(r"worldloom_\w+", target["expr"])
            known = {"le"}.union(*(metrics[re.sub("_(bucket|sum|count|total)$", "", name)] for name in names))
            by = re.findall(r"by \(([^)]*)\)", target["expr"])
            used = {label.strip() for list_of in by for label in list_of.split(",")}
            used |= set(re.findall(r"[{,](\w+)!?=", target["expr"]))
            used |= set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert used <= known, (panel["title"], target["expr"])


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = json.loads(BOARD.read_text())["panels"]
    places = [
        (x, y)
        for box in (panel["gridPos"] for panel in panels)
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in panels}) == len(panels)


def _labels(metrics: Metrics) -> Iterator[tuple[str, set[str]]]:
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            yield metric._name, set(metric._labelnames)
