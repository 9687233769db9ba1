"""Fixtures that many tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import ServerMaker, servers
from worldloom.models.toy import ToyWorld


@pytest.fixture
def toy() -> ToyWorld:
    return ToyWorld()


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerMaker]:
    """Starts servers and ends them; arguments are those of `worldloom serve`."""
    with servers(lambda: tmp_path_factory.mktemp("server")) as start:
        yield start
