"""`docs/asyncapi.yaml`: the protocol as an AsyncAPI 3.0 document, for the tools of others.

    python -m worldloom.streamer.asyncapi docs/asyncapi.yaml

Its side is the server's, as AsyncAPI has it: the server receives what a client says. Knows the messages, and which
answers which; the schemas are those of the models. Needs PyYAML when it is called.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from . import wire
from .fields import Message
from .protocol import MAX_MESSAGE_BYTES, PROTOCOL
from .schemas import error_codes, kind_of, messages, schema_name, schemas

TEMPLATE = "#/components/schemas/{}"
PICTURE = "picture"

ASKED: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "open": ("What is said first, and once.", ("hello",), ("welcome", "waiting", "error")),
    "control": (
        "Each gets one receipt; where that says `rejected`, an error with the same `seq` says why.",
        (
            "key",
            "look",
            "axes",
            "action",
            "prompt",
            "reset",
            "pause",
            "resume",
            "step",
            "rewind",
            "snapshot",
            "restore",
            "fork",
            "record",
        ),
        ("receipt", "error"),
    ),
    "negotiate": ("WebRTC: an offer of one video line that receives.", ("offer",), ("answer", "error")),
    "ping": ("Whether the other side is there, and how far away.", ("ping",), ("pong",)),
    "tell": ("What asks for no answer.", ("view", "candidate", "report", "bye"), ()),
}
"""By operation: what it is, what the server receives, what it answers."""

NEWS = ("notice", "frame", PICTURE, "stats", "candidate", "error", "bye")
"""What the server says without being asked."""


def document() -> dict[str, Any]:
    """The whole of it."""
    names = [kind_of(model) for model in messages()]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Worldloom",
            "version": f"{PROTOCOL}.0.0",
            "description": "Worlds that a neural network dreams up while somebody walks through them: controls over "
            "a WebSocket, pictures over WebRTC or the same WebSocket. What the schemas cannot say, how a session "
            "begins, is lost and goes on, is in docs/protocol.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {"host": "127.0.0.1:8000", "protocol": "ws", "description": "`worldloom serve` as it starts."}
        },
        "channels": {"session": _channel([*names, PICTURE])},
        "operations": _operations(),
        "components": {
            "messages": {**{kind_of(model): _message(model) for model in messages()}, PICTURE: _picture()},
            "schemas": _as_draft_7(schemas(TEMPLATE)) | {"Picture": _layout()},
        },
    }


def _channel(names: list[str]) -> dict[str, Any]:
    return {
        "address": "/v1/session",
        "title": "One session's WebSocket",
        "description": f"JSON texts of at most {MAX_MESSAGE_BYTES} bytes both ways; pictures as binary messages.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def _operations() -> dict[str, Any]:
    channel = {"channel": {"$ref": "#/channels/session"}}
    operations: dict[str, Any] = {}
    for name, (summary, received, answers) in ASKED.items():
        operations[name] = {"action": "receive", **channel, "summary": summary, "messages": _references(received)}
        if answers:
            operations[name]["reply"] = {**channel, "messages": _references(answers)}
    news = {"summary": "What the server says without being asked.", "messages": _references(NEWS)}
    return operations | {"news": {"action": "send", **channel, **news}}


def _references(names: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/session/messages/{name}"} for name in names]


def _message(model: type[Message]) -> dict[str, Any]:
    name = kind_of(model)
    told = {"name": name, "title": name, "summary": " ".join((model.__doc__ or "").split())}
    if name == "error":
        told["description"] = f"Codes: {', '.join(error_codes())}."
    return {**told, "payload": {"$ref": TEMPLATE.format(schema_name(model))}}


def _as_draft_7(schema: Any) -> Any:
    """A schema in the dialect that AsyncAPI reads, where a tuple is a list of `items`."""
    if isinstance(schema, list):
        return [_as_draft_7(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {"items" if key == "prefixItems" else key: _as_draft_7(value) for key, value in schema.items()}


def _picture() -> dict[str, Any]:
    return {
        "name": PICTURE,
        "title": PICTURE,
        "summary": "One picture behind a fixed header, as a binary message.",
        "contentType": "application/octet-stream",
        "payload": {"$ref": TEMPLATE.format("Picture")},
    }


def _layout() -> dict[str, Any]:
    return {"type": "string", "format": "binary", "minLength": wire.HEADER_BYTES, "description": wire.layout()}


def text() -> str:
    """The document as YAML."""
    import yaml

    head = "# Generated: python -m worldloom.streamer.asyncapi docs/asyncapi.yaml\n"
    return head + yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=110)


def main(path: str) -> None:
    """Write the document."""
    Path(path).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m worldloom.streamer.asyncapi docs/asyncapi.yaml")
    main(sys.argv[1])
