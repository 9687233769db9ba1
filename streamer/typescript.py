"""`client/js/protocol.d.ts`: the messages as TypeScript types.

    python -m worldloom.streamer.typescript client/js/protocol.d.ts

What a client says may leave out every field that has a default; what a server says has it. Knows JSON schemas; no page.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import batch_messages
from .client_messages import Photon
from .fields import Message
from .protocol import PROTOCOL
from .schemas import (
    PARTS,
    batch_messages_and_parts,
    client_messages,
    error_codes,
    in_words,
    may_be_null,
    meaning,
    messages,
    schema_name,
    schemas,
    server_messages,
    without_null,
)

HEAD = f"""\
/**
 * The protocol, version {PROTOCOL}: what each side says over the WebSocket. See docs/protocol.md for how it is meant.
 * What begins with Batch is MessagePack, at `/v1/batch`.
 *
 * Generated: python -m worldloom.streamer.typescript client/js/protocol.d.ts
 */
"""


def text() -> str:
    """The file."""
    described = schemas("{}")
    said = {*client_messages(), Photon, *batch_messages.SAID, batch_messages.BatchBeginning}
    blocks = [HEAD, _union("ErrorCode", [json.dumps(code) for code in error_codes()])]
    unions = {"ClientMessage": client_messages(), "ServerMessage": server_messages()}
    unions |= {"BatchRequest": [*batch_messages.SAID], "BatchAnswer": [*batch_messages.ANSWERED]}
    for title, models in unions.items():
        blocks.append(_union(title, [schema_name(model) for model in models]))
    for model in [*messages(), *PARTS, *batch_messages_and_parts()]:
        blocks.append("\n".join(_interface(model, described[schema_name(model)], model in said)) + "\n")
    return "\n".join(blocks)


def _union(name: str, options: list[str]) -> str:
    return f"export type {name} =\n" + "\n".join(f"  | {option}" for option in options) + ";\n"


def _interface(model: type[Message], schema: dict[str, Any], said: bool) -> Iterator[str]:
    yield f"/** {' '.join(schema['description'].split())} */"
    yield f"export interface {schema_name(model)} {{"
    for name, field in schema["properties"].items():
        if "const" in field:
            yield f"  {name}: {json.dumps(field['const'])};"
            continue
        required = name in schema.get("required", ())
        absent = not required and (said or field.get("default") is None)
        told = _told(field)
        if told:
            yield f"  /** {told} */"
        nothing = " | null" if required and may_be_null(field) else ""
        yield f"  {name}{'?' if absent else ''}: {_type(without_null(field))}{nothing};"
    yield "}"


def _told(field: dict[str, Any]) -> str:
    """Meaning, bounds and default."""
    bounds = "" if {"$ref", "enum"} & without_null(field).keys() else in_words(without_null(field))
    default = "" if field.get("default") is None else f"{json.dumps(field['default'])} when absent"
    return "; ".join(part for part in (meaning(field), bounds, default) if part)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_type(option) for option in schema["anyOf"])
    match schema["type"]:
        case "array" if "prefixItems" in schema:
            return f"[{', '.join(_type(item) for item in schema['prefixItems'])}]"
        case "array":
            item = _type(schema["items"])
            return f"({item})[]" if "|" in item else f"{item}[]"
        case "object":
            return f"{{ [name: string]: {_type(schema['additionalProperties'])} }}"
        case "integer":
            return "number"
        case "string" if schema.get("format") == "binary":
            return "Uint8Array"
        case kind:
            return str(kind)


def main(path: str) -> None:
    """Write the file."""
    Path(path).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m worldloom.streamer.typescript client/js/protocol.d.ts")
    main(sys.argv[1])
