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
from typing import Any, get_args

from . import errors, protocol, wire
from .client_messages import Photon
from .fields import MAX_INT, Message
from .server_messages import IceServer, Limits, Percentiles
from .world_info import ActionInfo, AxisInfo, KeyInfo, WorldInfo

BEGIN = "<!-- generated: python -m worldloom.streamer.docs docs/protocol.md -->"
END = "<!-- end of the generated part -->"


def tables() -> str:
    """The generated part, without its markers."""
    client, server = _members(protocol.ClientMessage), _members(protocol.ServerMessage)
    parts: list[type[Message]] = [WorldInfo, ActionInfo, AxisInfo, KeyInfo, Limits, Percentiles, IceServer, Photon]
    sections = [
        "## Messages of the client\n",
        *(_message(model) for model in client),
        "## Messages of the server\n",
        *(_message(model) for model in server),
        "## Parts of messages\n",
        *(_message(model) for model in parts),
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


def _members(union: Any) -> list[type[Message]]:
    """The messages of a union, in its order."""
    return [member for member in get_args(union) if issubclass(member, Message)]


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
    options = [option for option in field.get("anyOf", ()) if option.get("type") != "null"]
    meaning = field.get("description") or next(
        (option["description"] for option in options if "description" in option), ""
    )
    if required:
        default = "required"
    elif field.get("default") is None:
        default = "absent"
    else:
        default = f"`{json.dumps(field['default'])}`"
    return _kind(field), default, meaning


def _kind(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words, with its bounds."""
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[-1]
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    match schema["type"]:
        case "string":
            least = schema.get("minLength", 0)
            return f"text, {least} to {schema['maxLength']} characters"
        case "integer" | "number" as name:
            return f"{name}, {_number(schema['minimum'])} to {_number(schema['maximum'])}"
        case "array" if "prefixItems" in schema:
            return "[" + ", ".join(_kind(item) for item in schema["prefixItems"]) + "]"
        case "array":
            return f"list of {schema.get('minItems', 0)} to {schema['maxItems']}: {_kind(schema['items'])}"
        case "object":
            return f"object of at most {schema['maxProperties']}: {_kind(schema['additionalProperties'])}"
        case name:
            return str(name)


def _number(value: float) -> str:
    if value == MAX_INT:
        return "2^53-1"
    short = f"{value:g}".replace("e+0", "e").replace("e+", "e")
    return short if float(short) == value else str(value)


def _frame_header() -> str:
    """The layout as the module itself states it."""
    doc = wire.__doc__ or ""
    layout = doc[doc.index("    offset") : doc.index("All numbers")]
    tail = " ".join(doc[doc.index("All numbers") :].split())
    body = "\n".join(line.removeprefix("    ") for line in layout.rstrip().splitlines())
    return f"```\n{body}\n```\n\nThe header has {wire.HEADER_BYTES} bytes. {tail}\n"


def _error_codes() -> str:
    """Code, what it means, and whether it is worth a second try; one row a code."""
    kinds: dict[str, type[errors.WorldloomError]] = {"internal_error": errors.WorldloomError}
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.WorldloomError) and "code" in vars(value):
            kinds[value.code] = value  # subclasses come after their base and say it more exactly
    rows = (
        (f"`{code}`", "yes" if kind.retryable else "no", (kind.__doc__ or "").split("\n")[0])
        if kind is not errors.WorldloomError
        else (f"`{code}`", "no", "A fault of the server that it does not describe.")
        for code, kind in sorted(kinds.items())
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
