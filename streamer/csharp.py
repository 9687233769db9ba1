"""`client/csharp/Protocol.cs`: the messages as C# classes, and the header of a picture.

    python -m worldloom.streamer.csharp client/csharp/Protocol.cs

Data contracts in C# 7: what Unity and Godot compile, and what Newtonsoft.Json and DataContractJsonSerializer both read.
Knows JSON schemas and the header's layout; no page.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import wire
from .fields import Message
from .protocol import PROTOCOL
from .schemas import (
    PARTS,
    batch_messages_and_parts,
    client_messages,
    error_codes,
    in_words,
    kind_of,
    may_be_null,
    meaning,
    messages,
    schema_name,
    schemas,
    server_messages,
    without_null,
)

HEAD = f"""\
// The protocol, version {PROTOCOL}: what each side says over the WebSocket. See docs/protocol.md for how it is meant.
// What begins with Batch is MessagePack, at /v1/batch.
// Generated: python -m worldloom.streamer.csharp client/csharp/Protocol.cs
using System;
using System.Collections.Generic;
using System.Runtime.Serialization;

namespace Worldloom.Protocol
{{"""

READ = {"u8": "message[{}]", "u16": "BitConverter.ToUInt16(message, {})", "u32": "BitConverter.ToUInt32(message, {})"}
READ |= {"u64": "BitConverter.ToUInt64(message, {})", "i64": "BitConverter.ToInt64(message, {})"}
TYPES = {"u8": "byte", "u16": "ushort", "u32": "uint", "u64": "ulong", "i64": "long"}


def text() -> str:
    """The file."""
    described = schemas("{}")
    lines = [HEAD, *_indented(_constants()), ""]
    for model in [*messages(), *PARTS, *batch_messages_and_parts()]:
        lines += [*_indented(_class(model, described[schema_name(model)])), ""]
    lines += [*_indented(_header()), "}"]
    return "\n".join(lines) + "\n"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"    {line}" if line else line for line in lines)


def _constants() -> Iterator[str]:
    yield "/// <summary>The version, and which class a message of a type is.</summary>"
    yield "public static class Messages"
    yield "{"
    yield f"    public const int Version = {PROTOCOL};"
    for name, models in (("Client", client_messages()), ("Server", server_messages())):
        yield f"    public static readonly Dictionary<string, Type> {name} = new Dictionary<string, Type>"
        yield "    {"
        yield from (f'        {{ "{kind_of(model)}", typeof({schema_name(model)}) }},' for model in models)
        yield "    };"
    yield "}"
    yield ""
    yield "/// <summary>Codes of errors.</summary>"
    yield "public static class ErrorCodes"
    yield "{"
    yield from (f'    public const string {_pascal(code)} = "{code}";' for code in error_codes())
    yield "}"


def _class(model: type[Message], schema: dict[str, Any]) -> Iterator[str]:
    yield f"/// <summary>{_escaped(schema['description'])}</summary>"
    yield "[DataContract]"
    yield f"public sealed class {schema_name(model)}"
    yield "{"
    for name, field in schema["properties"].items():
        if "const" in field:
            yield f'    [DataMember(Name = "{name}", IsRequired = true)]'
            yield f"    public {_type(field)} {_pascal(name)} {{ get; set; }} = {json.dumps(field['const'])};"
            continue
        yield from _property(name, field, name in schema.get("required", ()))
    yield "}"


def _property(name: str, field: dict[str, Any], required: bool) -> Iterator[str]:
    kind = without_null(field)
    default = field.get("default")
    told = "; ".join(part for part in (meaning(field), "" if "$ref" in kind else in_words(kind)) if part)
    if told:
        yield f"    /// <summary>{_escaped(told)}</summary>"
    absent = not required and default is None
    nothing = absent or may_be_null(field)
    rule = ", IsRequired = true" if required else ", EmitDefaultValue = false" if absent else ""
    yield f'    [DataMember(Name = "{name}"{rule})]'
    simple = kind.get("type") in ("integer", "number", "boolean")
    begin = "" if required or default is None else f" = {_literal(kind, default)};"
    yield f"    public {_type(kind)}{'?' if nothing and simple else ''} {_pascal(name)} {{ get; set; }}{begin}"


def _type(schema: dict[str, Any]) -> str:
    schema = without_null(schema)
    if "$ref" in schema:
        return str(schema["$ref"])
    match schema["type"]:
        case "array" if "prefixItems" in schema:
            (item,) = {_type(item) for item in schema["prefixItems"]}
            return f"{item}[]"
        case "array":
            return f"{_type(schema['items'])}[]"
        case "object":
            return f"Dictionary<string, {_type(schema['additionalProperties'])}>"
        case "string" if schema.get("format") == "binary":
            return "byte[]"
        case kind:
            return {"integer": "long", "number": "double", "boolean": "bool"}.get(kind, "string")


def _literal(schema: dict[str, Any], default: Any) -> str:
    if isinstance(default, list):
        return f"new {_type(schema['items'])}[0]"
    return json.dumps(default)


def _header() -> Iterator[str]:
    """A reader of the header, from the layout that the header's module states."""
    rows = [row.split()[:3] for row in wire.layout().splitlines()[1:]]
    fields = [(offset, kind, _pascal(name)) for offset, kind, name in rows if kind in TYPES]
    yield "/// <summary>The header of a picture: a binary message begins with it. Little-endian.</summary>"
    yield "public sealed class FrameHeader"
    yield "{"
    yield f"    public const int Bytes = {wire.HEADER_BYTES};"
    yield from (f"    public {TYPES[kind]} {name} {{ get; private set; }}" for _, kind, name in fields)
    yield ""
    yield "    /// <summary>Reads a message; its picture begins at Bytes.</summary>"
    yield "    public static FrameHeader Read(byte[] message)"
    yield "    {"
    magic = " || ".join(f"message[{place}] != {byte}" for place, byte in enumerate(wire.MAGIC))
    yield f"        if (message.Length < Bytes || {magic})"
    yield '            throw new FormatException("expected a frame message");'
    yield "        return new FrameHeader"
    yield "        {"
    yield from (f"            {name} = {READ[kind].format(offset)}," for offset, kind, name in fields)
    yield "        };"
    yield "    }"
    yield "}"


def _pascal(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"_", name))


def _escaped(told: str) -> str:
    return " ".join(told.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def main(path: str) -> None:
    """Write the file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m worldloom.streamer.csharp client/csharp/Protocol.cs")
    main(sys.argv[1])
