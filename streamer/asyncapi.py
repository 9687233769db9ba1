"""`docs/asyncapi.yaml`: the protocol as an AsyncAPI 3.0 document, for the tools of others.

    python -m worldloom.streamer.asyncapi docs/asyncapi.yaml

Its side is the server's, as AsyncAPI has it: the server receives what a client says. Knows the messages, and which
answers which; the schemas are those of the models. Needs PyYAML when it is called.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from . import batch_messages, wire
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
            "say",
            "reset",
            "pause",
            "resume",
            "step",
            "shift",
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

BATCH: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "batch_open": ("What a program says first.", "batch_hello", ("batch_welcome", "batch_refused")),
    "batch_start": ("Begin streams.", "batch_start", ("batch_started", "batch_refused")),
    "batch_step": ("Make one chunk of each stream.", "batch_step", ("batch_stepped", "batch_refused")),
    "batch_save": ("Keep states.", "batch_save", ("batch_saved", "batch_refused")),
    "batch_leave": ("Free everything.", "batch_bye", ()),
}
"""The same for programs that drive streams by the batch."""

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
        "channels": {"session": _channel([*names, PICTURE]), "batch": _batch_channel()},
        "operations": _operations() | _batch_operations(),
        "components": {
            "messages": {**{kind_of(model): _message(model) for model in messages()}, PICTURE: _picture()}
            | {batch_name(model): _batch_message(model) for model in batch_messages.SAID + batch_messages.ANSWERED},
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


def _batch_channel() -> dict[str, Any]:
    names = map(batch_name, batch_messages.SAID + batch_messages.ANSWERED)
    return {
        "address": "/v1/batch",
        "title": "The WebSocket of a program that drives streams by the batch",
        "description": "Binary messages both ways, each a map in MessagePack: one answer for each request, in order.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def _batch_operations() -> dict[str, Any]:
    channel = {"channel": {"$ref": "#/channels/batch"}}
    operations: dict[str, Any] = {}
    for name, (summary, asked, answers) in BATCH.items():
        told = _references((asked,), "batch")
        operations[name] = {"action": "receive", **channel, "summary": summary, "messages": told}
        if answers:
            operations[name]["reply"] = {**channel, "messages": _references(answers, "batch")}
    news = {"summary": "Why the connection ends, unasked.", "messages": _references(("batch_refused",), "batch")}
    return operations | {"batch_end": {"action": "send", **channel, **news}}


def _references(names: tuple[str, ...], channel: str = "session") -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _message(model: type[Message]) -> dict[str, Any]:
    name = kind_of(model)
    told = {"name": name, "title": name, "summary": " ".join((model.__doc__ or "").split())}
    if name == "error":
        told["description"] = f"Codes: {', '.join(error_codes())}."
    return {**told, "payload": {"$ref": TEMPLATE.format(schema_name(model))}}


def batch_name(model: type[Message]) -> str:
    """What a message of `/v1/batch` is called here."""
    return model.__name__.replace("Batch", "batch_").lower()


def _batch_message(model: type[Message]) -> dict[str, Any]:
    name = batch_name(model)
    told = {"name": name, "title": name, "summary": " ".join((model.__doc__ or "").split())}
    return {**told, "contentType": "application/msgpack", "payload": {"$ref": TEMPLATE.format(schema_name(model))}}


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
