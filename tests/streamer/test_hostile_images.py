"""Start pictures that are none, too large, too slow or too many: each gets its code, and nothing is left."""

from __future__ import annotations

import asyncio
import io
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from .conftest import PATIENCE, Serve
from .test_images import Mirror, brought, painted, png, post, webp

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'


def hostile() -> dict[str, tuple[bytes, str, int, str]]:
    """Body, type, status and code by name."""
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    noisy = io.BytesIO()
    Pillow.fromarray(noise).save(noisy, "PNG")
    jpeg = io.BytesIO()
    Pillow.fromarray(noise).save(jpeg, "JPEG")
    bomb = (b"iTXt", b"a\0\1\0\0\0" + zlib.compress(b"x" * 40_000_000))
    return {
        "SVG by name": (SVG, "image/svg+xml", 415, "bad_image"),
        "SVG in disguise": (SVG, "image/png", 422, "bad_image"),
        "no type": (painted(), "", 415, "bad_image"),
        "HTML": (b"<html></html>", "text/html", 415, "bad_image"),
        "GIF in disguise": (painted("GIF"), "image/png", 422, "bad_image"),
        "TIFF in disguise": (painted("TIFF"), "image/jpeg", 422, "bad_image"),
        "empty": (b"", "image/png", 422, "bad_image"),
        "noise": (noise.tobytes(), "image/webp", 422, "bad_image"),
        "half a PNG": (noisy.getvalue()[:6000], "image/png", 422, "bad_image"),
        "half a JPEG": (jpeg.getvalue()[:3000], "image/jpeg", 422, "bad_image"),
        "half a WebP header": (webp(8, 8)[:20], "image/webp", 422, "bad_image"),
        "huge PNG": (png(65_000, 65_000, (b"IDAT", zlib.compress(b"\0" * 1000))), "image/png", 422, "too_many_pixels"),
        "huge WebP": (webp(16_384, 16_384), "image/webp", 422, "too_many_pixels"),
        "just too many": (painted(size=(401, 250)), "image/png", 422, "too_many_pixels"),
        "no pixels": (png(0, 5), "image/png", 422, "bad_image"),
        "bomb of text": (png(8, 8, bomb), "image/png", 422, "bad_image"),
        "too many bytes": (b"\x89PNG" + b"\0" * 70_000, "image/png", 413, "image_too_large"),
    }


@pytest.mark.slow
async def test_hostile_files_get_their_code_and_the_next_one_is_taken(serve: Serve) -> None:
    async with serve(images={"max_pixels": 100_000, "max_bytes": 65_536}) as server:
        for name, (body, kind, status, code) in hostile().items():
            answer = await post(server, body, kind)
            assert (answer.status_code, answer.json()["code"]) == (status, code), name
            assert len(answer.json()["message"]) < 200
        assert len(server.state.images) == 0
        assert (await post(server, painted())).status_code == 201


async def test_a_body_of_unknown_length_is_cut_off(serve: Serve) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 10_000
            yield b"\0" * 10_000

    async with serve(images={"max_bytes": 65_536}) as server:
        with suppress(httpx.TransportError):  # cut off while it was still sending
            assert (await post(server, endless())).status_code == 413
        assert sent < 20_000_000


async def test_decoding_that_takes_too_long_is_killed(serve: Serve) -> None:
    async with serve(images={"decode_timeout": 0.001}) as server:
        begun = time.monotonic()
        answer = await post(server, painted(size=(4000, 4000)))
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_image")
        assert "within 0.001 s" in answer.json()["message"]
        assert time.monotonic() - begun < PATIENCE


async def test_uploads_are_bounded_in_number_and_time(serve: Serve) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield painted()[:20]
        await asyncio.sleep(0.6)
        yield painted()[20:]

    async with serve(images={"at_once": 1, "upload_timeout": 0.3}) as server:
        slowly = asyncio.create_task(post(server, slow()))
        await server.until(lambda: server.state.images._uploads == 1)
        answer = await post(server, painted())
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "5")
        with suppress(httpx.TransportError):  # it heard no more
            assert (await slowly).status_code == 408
        await server.until(lambda: server.state.images._uploads == 0)
        assert (await post(server, painted())).status_code == 201


async def test_whoever_leaves_in_the_middle_leaves_nothing(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async with serve() as server:
        host, port = server.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/images HTTP/1.1\r\nhost: {host}\r\ncontent-type: image/png\r\ncontent-length: 5000\r\n\r\n"
        writer.write(head.encode() + b"\x89PNG")
        await writer.drain()
        await server.until(lambda: server.state.images._uploads == 1)
        writer.transport.abort()
        await server.until(lambda: server.state.images._uploads == 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_pictures_are_bounded_in_number_and_forgotten(serve: Serve) -> None:
    async with serve(images={"max_kept": 2}, load=lambda _: Mirror()) as server, server.client() as client:
        first = await brought(server)
        await brought(server), await brought(server)
        assert len(server.state.images) == 2
        await client.hello()
        await client.send("reset", seq=1, image=first)
        assert (await client.expect("error"))["code"] == "unknown_image"
        text = (await server.get("/metrics")).text
        assert 'worldloom_images_total{fate="kept"} 3.0' in text
        assert 'worldloom_images_total{fate="dropped"} 1.0' in text
    async with serve(images={"keep": 0.05}) as server:
        await brought(server)
        await server.until(lambda: len(server.state.images) == 0)
