"""The page about the protocol is up to date, and whoever writes it leaves the rest alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from worldloom.streamer import docs, errors, protocol

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert docs.updated(text) == text, "run: python -m worldloom.streamer.docs docs/protocol.md"


def test_the_page_names_every_error_code_and_the_size_limit() -> None:
    text, tables = PAGE.read_text(encoding="utf-8"), docs.tables()
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.WorldloomError):
            assert f"`{value.code}`" in tables
    assert str(protocol.MAX_MESSAGE_BYTES) in text


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="expected one"):
        docs.main(str(page))
    page.write_text(f"before\n{docs.BEGIN}\nold\n{docs.END}\nafter\n", encoding="utf-8")
    docs.main(str(page))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old\n" not in text
