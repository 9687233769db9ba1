"""What is generated from the messages: it is what is committed, and it says what the messages say."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from worldloom.streamer import asyncapi, batch_messages, csharp, errors, protocol, schemas, typescript
from worldloom.streamer.protocol import encode

from .test_protocol import CLIENT, SERVER

ROOT = Path(__file__).parents[2]
FILES: dict[str, Callable[[], str]] = {
    "docs/asyncapi.yaml": asyncapi.text,
    "client/js/protocol.d.ts": typescript.text,
    "client/csharp/Protocol.cs": csharp.text,
}
MODULES = {"docs/asyncapi.yaml": asyncapi, "client/js/protocol.d.ts": typescript, "client/csharp/Protocol.cs": csharp}


@pytest.mark.parametrize("path", FILES)
def test_the_file_is_up_to_date(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text == FILES[path](), f"run: python -m {MODULES[path].__name__} {path}"


@pytest.mark.parametrize("path", FILES)
def test_the_file_is_written_where_one_says(path: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    target.parent.mkdir()
    MODULES[path].main(str(target))
    assert target.read_bytes() == (ROOT / path).read_bytes()


@pytest.mark.parametrize("made", [typescript.text, csharp.text])
def test_the_head_names_the_version_that_is_spoken(made: Callable[[], str]) -> None:
    assert f"The protocol, version {protocol.PROTOCOL}: " in made()


def test_every_message_is_in_an_operation() -> None:
    """Each that a client says is received by one; each that a server says is an answer or news."""
    received = [name for _, names, _ in asyncapi.ASKED.values() for name in names]
    assert sorted(received) == sorted(schemas.kind_of(model) for model in schemas.client_messages())
    sent = {name for _, _, answers in asyncapi.ASKED.values() for name in answers} | set(asyncapi.NEWS)
    assert sent == {schemas.kind_of(model) for model in schemas.server_messages()} | {asyncapi.PICTURE}


def test_every_message_of_a_batch_is_in_an_operation() -> None:
    asked = [name for _, name, _ in asyncapi.BATCH.values()]
    assert asked == [asyncapi.batch_name(model) for model in batch_messages.SAID]
    told = {name for _, _, answers in asyncapi.BATCH.values() for name in answers}
    assert told == {asyncapi.batch_name(model) for model in batch_messages.ANSWERED}


def test_a_code_is_told_by_the_error_that_says_it_most_exactly() -> None:
    codes = schemas.error_codes()
    assert list(codes) == sorted(codes)
    assert (codes["bad_message"], codes["bad_action"]) == (errors.BadMessage, errors.BadAction)
    assert codes["internal_error"] is errors.WorldloomError, "no subclass says it more exactly"


def test_every_reference_leads_somewhere() -> None:
    tree = yaml.load((ROOT / "docs/asyncapi.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)

    def follow(node: Any) -> None:
        if isinstance(node, list):
            for one in node:
                follow(one)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key != "$ref":
                    follow(value)
                    continue
                found = tree
                for part in value.removeprefix("#/").split("/"):
                    found = found[part]

    follow(tree)


@cache
def document() -> dict[str, Any]:
    return asyncapi.document()


def accepts(kind: str) -> Callable[[Any], bool]:
    """Whether the document takes a value for a message of that type."""
    tree = document()["components"]
    root = {"$ref": tree["messages"][kind]["payload"]["$ref"], "components": tree}
    return jsonschema_rs.Draft7Validator(root).is_valid


@pytest.mark.parametrize("message", [*CLIENT, *SERVER], ids=lambda message: message.type)
def test_the_schema_takes_what_is_said(message: protocol.ClientMessage | protocol.ServerMessage) -> None:
    told = json.loads(encode(message))
    against = accepts(message.type)
    assert against(told), told
    assert not against(told | {"nonsense": 1})
    assert not against({name: value for name, value in told.items() if name != "type"})


def test_types_of_both_languages_name_every_message_and_field() -> None:
    script, sharp = typescript.text(), csharp.text()
    for model in [*schemas.messages(), *schemas.PARTS, *schemas.batch_messages_and_parts()]:
        name = schemas.schema_name(model)
        block = script[script.index(f"export interface {name} {{") :]
        block = block[: block.index("\n}")]
        contract = sharp[sharp.index(f"public sealed class {name}\n") :]
        contract = contract[: contract.index("\n    }")]
        for field in (told.alias or name for name, told in model.model_fields.items()):
            assert f"\n  {field}: " in block or f"\n  {field}?: " in block, (name, field)
            assert f'Name = "{field}"' in contract, (name, field)


def test_a_client_may_leave_out_what_a_server_always_says() -> None:
    script = typescript.text()
    assert "\n  video?: " in script[script.index("interface HelloMessage") :]
    welcome = script[script.index("interface WelcomeMessage") :]
    assert "\n  role: " in welcome[: welcome.index("\n}")]
    assert "\n  resume?: " in welcome[: welcome.index("\n}")]
