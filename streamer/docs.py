"""The generated half of `docs/protocol.md`: tables of messages, parts, error codes, close codes and the frame header.

    python -m worldloom.streamer.docs docs/protocol.md

Knows the protocol and the errors. Text outside the two markers is written by hand and kept.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import errors, wire
from .fields import Message
from .schemas import PARTS, client_messages, error_codes, in_words, meaning, server_messages

BEGIN = "<!-- generated: python -m worldloom.streamer.docs docs/protocol.md -->"
END = "<!-- end of the generated part -->"


def tables() -> str:
    """The generated part, without its markers."""
    sections = [
        "## Messages of the client\n",
        *(_message(model) for model in client_messages()),
        "## Messages of the server\n",
        *(_message(model) for model in server_messages()),
        "## Parts of messages\n",
        *(_message(model) for model in PARTS),
        "## Binary frame message\n",
        _frame_header(),
        "## Error codes\n",
        _error_codes(),
        "## Close codes\n",
        _close_codes(),
    ]
    return "\n".join(sections).rstrip() + "\n"


def updated(text: str) -> str:
    """`text` with its generated part made anew.

    Raises:
        ValueError: the markers are not there, or not once.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected one {BEGIN!r} and then one {END!r}")
    return text[: text.index(BEGIN)] + f"{BEGIN}\n\n{tables()}\n" + text[text.index(END) :]


def _message(model: type[Message]) -> str:
    schema = model.model_json_schema()
    kind = schema["properties"].get("type", {}).get("const")
    title = f"`{kind}`" if kind else model.__name__
    fields = {name: field for name, field in schema["properties"].items() if name != "type"}
    lines = [f"### {title}\n", f"{schema['description'].strip()}\n"]
    if fields:
        rows = ((f"`{name}`", *_field(field, name in schema.get("required", ()))) for name, field in fields.items())
        lines.append(_table(("field", "value", "when absent", "meaning"), rows))
    return "\n".join(lines)


def _field(field: dict[str, Any], required: bool) -> tuple[str, str, str]:
    """Value, default and meaning of a field."""
    if required:
        default = "required"
    elif field.get("default") is None:
        default = "absent"
    else:
        default = f"`{json.dumps(field['default'])}`"
    return in_words(field), default, meaning(field)


def _frame_header() -> str:
    """The layout as the module itself states it."""
    doc = wire.__doc__ or ""
    tail = " ".join(doc[doc.index("All numbers") :].split())
    return f"```\n{wire.layout()}\n```\n\nThe header has {wire.HEADER_BYTES} bytes. {tail}\n"


def _error_codes() -> str:
    """Code, what it means, and whether it is worth a second try; one row a code."""
    rows = (
        (f"`{code}`", "yes" if kind.retryable else "no", (kind.__doc__ or "").split("\n")[0])
        if kind is not errors.WorldloomError
        else (f"`{code}`", "no", "A fault of the server that it does not describe.")
        for code, kind in error_codes().items()
    )
    return _table(("code", "retryable", "meaning"), rows)


def _close_codes() -> str:
    by_code: dict[int, list[str]] = {}
    for name, code in wire.CLOSE_CODES.items():
        by_code.setdefault(code, []).append(f"`{name}`")
    rows = [
        (str(wire.NORMAL_CLOSE), "one side said `bye`"),
        (str(wire.REFUSED_CLOSE), "any other error that ends the connection"),
        *((str(code), ", ".join(names)) for code, names in by_code.items()),
    ]
    return _table(("close code", "after the error"), sorted(rows))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), line("---" for _ in head), *(line(row) for row in rows)]) + "\n"


def main(path: str) -> None:
    """Rewrite the generated part of a file."""
    file = Path(path)
    file.write_text(updated(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m worldloom.streamer.docs docs/protocol.md")
    main(sys.argv[1])
