"""Start pictures over HTTP: brought, shown, and by whom."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
from PIL import Image as Pillow

from tests.plain_http import plain_http
from worldloom.models.spec import Actions, Frames, Image
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.tokens import Claims, Tokens
from worldloom.streamer.wire import unpack_frame

from .conftest import PATIENCE, Client, Running, Serve

SECRET = "a secret that is only good for this test"
RED, BLUE = (220, 30, 30), (30, 30, 220)


class Mirror(ToyWorld):
    """Shows the picture that it was started from."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = replace(self.spec, images=True)
        self.pictures: dict[int, Image] = {}  # by state

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> ToyState:
        state = super().start(seed=seed, prompt=prompt)
        if image is not None:
            assert image.shape == (self.spec.height, self.spec.width, 3)
            assert image.dtype == np.uint8
            self.pictures[id(state)] = image
        return state

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        frames = super().step(states, actions)
        for b, state in enumerate(states):
            if id(state) in self.pictures:
                frames[b] = self.pictures[id(state)]
        return frames

    def release(self, state: ToyState) -> None:
        super().release(state)
        self.pictures.pop(id(state), None)


def painted(kind: str = "PNG", size: tuple[int, int] = (64, 48), colour: tuple[int, int, int] = RED) -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with a header that promises that size, and the given chunks."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in ((b"IHDR", header), *chunks, (b"IEND", b"")))


def webp(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


async def post(
    server: Running, body: bytes | AsyncIterator[bytes], kind: str = "image/png", **headers: str
) -> httpx.Response:
    async with plain_http() as http:
        headers = {"content-type": kind, **headers}
        return await http.post(f"{server.url}/v1/images", content=body, headers=headers, timeout=PATIENCE)


async def brought(server: Running, colour: tuple[int, int, int] = RED) -> str:
    answer = await post(server, painted(colour=colour))
    assert answer.status_code == 201, answer.text
    ident: str = answer.json()["image"]
    return ident


async def colour_of(client: Client, since: int = 0) -> tuple[int, ...]:
    """Of the middle of the next picture from that frame on."""
    while True:
        header, payload = unpack_frame(await client.picture())
        if header.index >= since:
            pixels = np.frombuffer(payload, np.uint8).reshape(header.height, header.width, 3)
            return tuple(int(part) for part in pixels[header.height // 2, header.width // 2])


# What a picture is good for -------------------------------------------------------------------------------------------


async def test_a_session_starts_from_a_picture_and_is_reset_to_others(serve: Serve) -> None:
    changes: list[dict[str, Any]] = [{"image": "blue"}, {"seed": 9}, {"image": "red"}, {"image": "none"}]
    async with serve(load=lambda _: Mirror()) as server, server.client() as client:
        red, blue = await brought(server), await brought(server, BLUE)
        await client.hello(video="websocket", format="raw", image=red)
        assert await colour_of(client) == RED
        seen = {}
        for seq, change in enumerate(changes, 1):
            image = {"red": red, "blue": blue}.get(change.get("image", ""))
            await client.send("reset", seq=seq, **(change | ({"image": image} if image else {})))
            receipt = await client.expect("receipt", seq=seq)
            seen[seq] = await colour_of(client, receipt["frame"])
        assert (seen[1], seen[2], seen[3]) == (BLUE, BLUE, RED)
        assert seen[4] not in (RED, BLUE), "the world's own again"
        assert len(server.state.images) == 2


async def test_the_middle_of_a_picture_is_kept(serve: Serve) -> None:
    pixels = np.zeros((240, 960, 3), np.uint8)
    pixels[:, 320:640] = RED
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG")
    async with serve(load=lambda _: Mirror()) as server:
        ident = (await post(server, file.getvalue())).json()["image"]
        fitted = await server.state.images.picture(ident, Mirror().spec)
        assert fitted is not None
        assert fitted.shape == (96, 128, 3)
        assert (np.abs(fitted.astype(int) - RED) < 20).all(), "the black sides are cut off"


async def test_three_kinds_of_file_are_taken(serve: Serve) -> None:
    async with serve() as server:
        for kind, type in (("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp; x=1")):
            answer = await post(server, painted(kind, (300, 200)), type)
            assert answer.status_code == 201, kind
            assert answer.json()["seconds"] == 60.0


async def test_a_large_picture_is_kept_small_and_a_turned_one_upright(serve: Serve) -> None:
    file = io.BytesIO()
    photo = Pillow.new("RGB", (2000, 1000), RED)
    exif = photo.getexif()
    exif[0x0112] = 6  # taken with the camera on its side
    photo.save(file, "JPEG", exif=exif)
    async with serve(images={"side": 100}) as server:
        assert (await post(server, file.getvalue(), "image/jpeg")).status_code == 201
        (kept,) = server.state.images._kept.values()
        assert kept.shape == (100, 50, 3)


async def test_an_id_that_is_wrong_or_a_world_that_takes_none(serve: Serve) -> None:
    async with serve(load=lambda _: Mirror()) as server, server.client() as client:
        await client.hello()
        await client.send("reset", seq=1, image="never uploaded")
        assert (await client.expect("error"))["code"] == "unknown_image"
        assert (await client.expect("receipt", seq=1))["status"] == "rejected"
        await client.send("key", seq=2, code="KeyW", down=True)
        await client.expect("receipt", seq=2, status="applied")
        async with server.client() as other:
            await other.send("hello", protocol=1, video="none", image="never uploaded")
            assert (await other.expect("error"))["code"] == "unknown_image"
            assert await other.closed() == (1008, "unknown_image")
    async with serve() as server, server.client() as client:
        ident = await brought(server)
        await client.hello()
        for seq, image in ((1, ident), (2, "anything")):
            await client.send("reset", seq=seq, image=image)
            assert (await client.expect("error", seq=seq))["code"] == "unsupported"
        await client.send("reset", seq=3, image="none")
        await client.expect("receipt", seq=3, status="applied")
        async with server.client() as other:
            await other.send("hello", protocol=1, video="none", image=ident)
            assert (await other.expect("error"))["code"] == "unsupported"
        await client.send("bye")
        await server.freed()


# Who may --------------------------------------------------------------------------------------------------------------


async def test_pages_of_strangers_may_not(serve: Serve) -> None:
    async with serve(origins=("https://friend.example",)) as server:
        for origin, status in (
            ("https://evil.example", 403),
            ("null", 403),
            ("https://friend.example", 201),
            (server.url, 201),
        ):
            answer = await post(server, painted(), origin=origin)
            assert answer.status_code == status, origin
        assert (await post(server, painted(), host="evil.example")).status_code == 421


async def test_where_tokens_are_asked_for(serve: Serve) -> None:
    tokens = Tokens(SECRET)

    def signed(role: Any) -> str:
        return tokens.sign(Claims(role=role, exp=int(time.time()) + 60))

    async with serve(auth="on", secret=SECRET, load=lambda _: Mirror()) as server, server.client() as client:
        welcome = await client.hello(token=signed("drive"))
        wrong = (None, "nonsense", signed("watch"), welcome["watch"])
        for token in wrong:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            answer = await post(server, painted(), **headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), token
        for token in (signed("drive"), signed("admin"), welcome["resume"]):
            assert (await post(server, painted(), authorization=f"Bearer {token}")).status_code == 201
