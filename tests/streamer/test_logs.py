"""What the log says of an exception: where it was raised, and nothing that variables held."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from worldloom.streamer.logs import Style, set_up


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def fail(token: str) -> None:
    if token:
        raise ValueError("broken")


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_traceback_shows_where_and_no_variables(style: Style, capsys: pytest.CaptureFixture[str]) -> None:
    set_up(style, "info")
    try:
        fail("sec" + "ret")
    except ValueError:
        logging.getLogger("worldloom").exception("something failed")
    told = capsys.readouterr().err
    assert "something failed" in told
    assert "test_logs.py" in told
    assert "ValueError: broken" in told
    assert "secret" not in told
