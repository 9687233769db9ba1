"""What is generated from the messages, before the tools that it is for: AsyncAPI's parser, TypeScript, C#."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.streamer.test_protocol import CLIENT, SERVER
from worldloom.streamer.protocol import decode_client, decode_server, encode
from worldloom.streamer.wire import FrameHeader, pack_frame

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WARNING = 1  # the parser's severities: 0 error, 1 warning, 2 information, 3 hint


def run(*command: str | Path, text: str = "", folder: Path = ROOT) -> str:
    done = subprocess.run(
        [str(part) for part in command], input=text, capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def package(packages: Path, name: str) -> Path:
    if not (packages / name).is_dir():
        pytest.skip(f"no package {name} from npm; `make test-interop` installs it where there is npm")
    return packages / name


def test_the_document_is_valid_asyncapi(packages: Path) -> None:
    package(packages, "@asyncapi/parser")
    told = json.loads(run("node", HERE / "asyncapi.cjs", packages, "docs/asyncapi.yaml"))
    assert (told["version"], told["operations"]) == ("3.0.0", 12)
    assert [found for found in told["found"] if found[0] <= WARNING] == []


def test_the_parser_finds_what_is_wrong(packages: Path, tmp_path: Path) -> None:
    package(packages, "@asyncapi/parser")
    text = (ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8")
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace("action: send", "action: shout"), encoding="utf-8")
    told = json.loads(run("node", HERE / "asyncapi.cjs", packages, broken))
    assert [found for found in told["found"] if found[0] <= WARNING]


def test_messages_have_the_types_that_typescript_was_told(packages: Path, tmp_path: Path) -> None:
    compiler = package(packages, "typescript") / "bin" / "tsc"
    shutil.copy(ROOT / "client" / "js" / "protocol.d.ts", tmp_path)
    lines = ["import type { ClientMessage, ServerMessage } from './protocol';"]
    for side, messages in (("ClientMessage", CLIENT), ("ServerMessage", SERVER)):
        lines += [f"export const {side.lower()}{n}: {side} = {encode(m)};" for n, m in enumerate(messages)]
    (tmp_path / "said.ts").write_text("\n".join(lines))
    run("node", compiler, "--noEmit", "--strict", "--target", "es2022", "said.ts", folder=tmp_path)
    (tmp_path / "wrong.ts").write_text(
        "import type { ClientMessage } from './protocol';\n"
        "// @ts-expect-error a key has a code\n"
        "export const a: ClientMessage = { type: 'key', seq: 1, down: true };\n"
        "// @ts-expect-error and no other field\n"
        "export const b: ClientMessage = { type: 'ping', t: 1, u: 2 };\n"
        "import type { BatchAnswer, BatchRequest, NdArray } from './protocol';\n"
        "const rows: NdArray = { __ndarray__: true, data: new Uint8Array(4), dtype: '<f4', shape: [1, 1, 1] };\n"
        "export const c: BatchRequest[] = [{ id: 1, verb: 'step', rows }, { id: 2, verb: 'save', which: [0] }];\n"
        "export const d: BatchAnswer = { id: 1, frames: rows, drift: null, compute_ms: 3 };\n"
        "// @ts-expect-error a step has rows\n"
        "export const e: BatchRequest = { id: 1, verb: 'step' };\n"
    )
    run("node", compiler, "--noEmit", "--strict", "--target", "es2022", "wrong.ts", folder=tmp_path)


def test_csharp_reads_and_writes_every_message_and_a_picture(tmp_path: Path) -> None:
    if shutil.which("mcs") is None or shutil.which("mono") is None:
        pytest.skip("no C# compiler: mcs and mono; `make test-interop` installs them on a Debian, as root")
    program = tmp_path / "echo.exe"
    sources = [ROOT / "client" / "csharp" / "Protocol.cs", HERE / "Echo.cs"]
    run("mcs", "-langversion:7", "-warnaserror", f"-out:{program}", "-r:System.Runtime.Serialization", *sources)
    header = FrameHeader(
        index=2**40 + 3, pts=-5, applied_seq=77, width=320, height=240, format="jpeg", compute_us=21500, age_us=30250
    )
    said = [("client", encode(message)) for message in CLIENT] + [("server", encode(message)) for message in SERVER]
    said.append(("picture", base64.b64encode(pack_frame(header, b"\x07")).decode()))
    told = run("mono", program, text="".join(f"{side}\t{what}\n" for side, what in said)).splitlines()
    assert [decode_client(line) for line in told[: len(CLIENT)]] == CLIENT
    assert [decode_server(line) for line in told[len(CLIENT) : -1]] == SERVER
    assert told[-1] == (
        "Version=1 Format=1 Flags=1 Width=320 Height=240 Length=1 Index=1099511627779 Pts=-5 AppliedSeq=77 "
        "ComputeUs=21500 AgeUs=30250 first=7"
    )
