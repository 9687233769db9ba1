"""Fixtures that many tests share."""

from __future__ import annotations

import pytest

from worldloom.models.toy import ToyWorld


@pytest.fixture
def toy() -> ToyWorld:
    return ToyWorld()
