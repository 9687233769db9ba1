"""What the generators of pages and types have in common: the messages, their JSON schemas, and the error codes.

Knows the protocol and the errors; no page, no language.
"""

from __future__ import annotations

from typing import Any, get_args

from pydantic.json_schema import models_json_schema

from . import batch_messages, errors, protocol
from .client_messages import Photon
from .fields import MAX_INT, Message
from .server_messages import IceServer, Limits, Percentiles
from .world_info import ActionInfo, AxisInfo, KeyInfo, WorldInfo

PARTS: tuple[type[Message], ...] = (
    WorldInfo,
    ActionInfo,
    AxisInfo,
    KeyInfo,
    Limits,
    Percentiles,
    IceServer,
    Photon,
)


def client_messages() -> list[type[Message]]:
    """What a client says, in the order of the protocol."""
    return _members(protocol.ClientMessage)


def server_messages() -> list[type[Message]]:
    """What a server says, in the order of the protocol; two of them go both ways."""
    return _members(protocol.ServerMessage)


def messages() -> list[type[Message]]:
    """All of them, each once."""
    return list(dict.fromkeys(client_messages() + server_messages()))


def batch_messages_and_parts() -> list[type[Message]]:
    """What is said at `/v1/batch`: programs, then the server, then what those are made of."""
    return [*batch_messages.SAID, *batch_messages.ANSWERED, *batch_messages.PARTS]


def kind_of(model: type[Message]) -> str:
    """`type` of a message; empty for a part of one."""
    field = model.model_fields.get("type")
    return str(field.default) if field else ""


def schema_name(model: type[Message]) -> str:
    """What a message or a part is called where names of types are shared with a whole language."""
    kind = "" if model in batch_messages_and_parts() else kind_of(model)
    return f"{kind.title()}Message" if kind else model.__name__


def schemas(template: str) -> dict[str, dict[str, Any]]:
    """The JSON schema of every message and part, by `schema_name`; references are made by `template`."""
    models = [*messages(), *PARTS, *batch_messages_and_parts()]
    names = {model.__name__: schema_name(model) for model in models}
    _, tree = models_json_schema([(model, "validation") for model in models], ref_template="{model}")
    return {names[name]: _typed(_renamed(schema, names, template)) for name, schema in sorted(tree["$defs"].items())}


def in_words(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words, with its bounds."""
    if "anyOf" in schema:
        return " or ".join(in_words(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    match schema["type"]:
        case "string" if schema.get("format") == "binary":
            return "bytes"
        case "string":
            least = schema.get("minLength", 0)
            return f"text, {least} to {schema['maxLength']} characters"
        case "integer" | "number" as name:
            return f"{name}, {_number(schema['minimum'])} to {_number(schema['maximum'])}"
        case "array" if "prefixItems" in schema:
            return "[" + ", ".join(in_words(item) for item in schema["prefixItems"]) + "]"
        case "array":
            return f"list of {schema.get('minItems', 0)} to {schema['maxItems']}: {in_words(schema['items'])}"
        case "object":
            return f"object of at most {schema['maxProperties']}: {in_words(schema['additionalProperties'])}"
        case name:
            return str(name)


def may_be_null(schema: dict[str, Any]) -> bool:
    """Whether a field may hold nothing."""
    return any(option.get("type") == "null" for option in schema.get("anyOf", ()))


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What a field holds where it holds something."""
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    return options[0] if len(options) == 1 else schema


def meaning(field: dict[str, Any]) -> str:
    """What a field is for; empty where its name says it."""
    return str(field.get("description") or without_null(field).get("description", ""))


def error_codes() -> dict[str, type[errors.WorldloomError]]:
    """Every code that crosses the wire, in order, and the error that says it most exactly: the last class with it."""
    kinds: dict[str, type[errors.WorldloomError]] = {"internal_error": errors.WorldloomError}
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.WorldloomError) and "code" in vars(value):
            kinds[value.code] = value  # a subclass comes after its base
    return dict(sorted(kinds.items()))


def _members(union: Any) -> list[type[Message]]:
    """The messages of a union, in its order."""
    return [member for member in get_args(union) if issubclass(member, Message)]


def _typed(schema: dict[str, Any]) -> dict[str, Any]:
    """A message is known by its `type`, or its `verb`, which is never left out."""
    for name in ("type", "verb"):
        if "const" in schema["properties"].get(name, {}):
            schema["properties"][name].pop("default")
            schema["required"] = [name, *schema.get("required", ())]
    return schema


def _renamed(schema: Any, names: dict[str, str], template: str) -> Any:
    """A schema whose references follow the template, without the titles that only repeat a field's name."""
    if isinstance(schema, list):
        return [_renamed(one, names, template) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return schema | {"$ref": template.format(names[schema["$ref"]])}
    fields = {"properties", "$defs"}  # their keys are names, and `title` may be one
    return {
        key: {name: _renamed(one, names, template) for name, one in value.items()}
        if key in fields
        else _renamed(value, names, template)
        for key, value in schema.items()
        if key != "title" or isinstance(value, dict)
    }


def _number(value: float) -> str:
    if value == MAX_INT:
        return "2^53-1"
    if value == 2**63 - 1:
        return "2^63-1"
    short = f"{value:g}".replace("e+0", "e").replace("e+", "e")
    return short if float(short) == value else str(value)
