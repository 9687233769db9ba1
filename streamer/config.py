"""Every setting of the server, in one model: from a TOML file, then the environment, then the command line.

Knows names, units and bounds; reads no file by itself except through `load`. Environment variables carry the prefix
WORLDLOOM_ and two underscores between levels: WORLDLOOM_PORT=9000, WORLDLOOM_WEBRTC__ENCODER__PRESET=ultrafast.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from .images import ImageSettings
from .signing import ManifestSettings
from .transports.coders import H264
from .transports.webrtc import WebRtcSettings
from .transports.websocket import WebSocketSettings


class ServerSettings(BaseSettings):
    """How the server listens, whom it admits and how pictures travel."""

    model_config = SettingsConfigDict(
        env_prefix="WORLDLOOM_", env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=None
    )

    host: str = "127.0.0.1"  # address to listen on; anything but loop-back serves strangers
    port: int = Field(default=8000, ge=0, le=65535)  # 0: any free one
    worlds: tuple[str, ...] = ()  # names to serve, the first is the default; empty: all that ship, or "toy"
    max_sessions: int = Field(default=0, ge=0, le=1024)  # at most, on each world; 0: as many as fit, up to 64
    step_share: float = Field(default=0.85, gt=0, le=1)  # of a frame's time that a step of all sessions may take
    kv: Literal["native", "int8"] = (
        "native"  # how trained worlds keep keys and values: as they are, or in half the bytes
    )
    linears: Literal["native", "fp8"] = "native"  # how open checkpoints multiply; fp8 wants NVIDIA devices since 8.9
    kernels: Literal["auto", "eager"] = "auto"  # what does their norms on CUDA: Triton where it is, or torch alone
    graphs: int = Field(default=0, ge=0, le=64)  # sessions of an open checkpoint that are stepped as CUDA graphs
    split: int = Field(default=1, ge=1, le=64)  # devices of this machine that an open checkpoint is spread over
    memory_budget: int = Field(default=0, ge=0)  # bytes that sessions of one world may hold; 0: what the device has
    max_connections: int = Field(default=64, ge=1, le=4096)  # open WebSockets, with or without a session

    auth: Literal["auto", "on", "off"] = "auto"  # ask for tokens: auto does unless only this machine can reach us
    secret: SecretStr | None = Field(default=None, min_length=32)  # that signs tokens; absent: a new one at every start
    max_per_address: int = Field(default=16, ge=1, le=4096)  # open WebSockets of one address

    origins: tuple[str, ...] = ()  # pages allowed besides our own, like "https://example.org"
    hosts: tuple[str, ...] = ("localhost",)  # names that we answer to, besides bare addresses; "*": any

    lease_timeout: float = Field(default=15.0, gt=0)  # seconds that a place is held for whoever asked by HTTP
    public_url: str = Field(default="", max_length=1024)  # address that leases name; empty: the one that was asked

    max_waiting: int = Field(default=32, ge=0, le=4096)  # who may wait for a place in a world
    idle_timeout: float = Field(default=0.0, ge=0)  # seconds without a control that end a session; 0: never
    max_duration: float = Field(default=0.0, ge=0)  # seconds that a session may last; 0: for ever
    max_watchers: int = Field(default=16, ge=0, le=1024)  # spectators of one session
    orphan_timeout: float = Field(default=60.0, ge=0)  # seconds that a session whose driver was lost can be resumed
    leave_timeout: float = Field(default=1.5, ge=0)  # the same when the page was closed: enough to reload it
    max_orphans: int = Field(default=8, ge=0, le=1024)  # such sessions; the oldest gives way
    orphan_bytes: int = Field(default=64 * 2**20, ge=0)  # what they may hold together

    engine: Literal["thread", "process"] = "process"  # where worlds are stepped: in this process, or each in its own
    snapshot_every: float = Field(default=10.0, ge=0)  # seconds between snapshots for when an engine dies; 0: none
    snapshot_bytes: int = Field(default=256 * 2**20, ge=0)  # what they may hold together; who finds no room has none

    rewind_seconds: float = Field(default=60.0, ge=0)  # that a realtime session can be rewound by; 0: not at all
    rewind_bytes: int = Field(default=128 * 2**20, ge=0)  # that restore points and snapshots of a session may hold
    park_after: float = Field(default=60.0, ge=0)  # seconds paused until a session's memory is made smaller; 0: never
    max_snapshots: int = Field(default=16, ge=1, le=256)  # that a session may have; the oldest gives way

    replay_frames: int = Field(default=20_000, ge=0, le=10**6)  # that a replay bundle of a session may have; 0: none

    hello_timeout: float = Field(default=5.0, gt=0)  # seconds that a new connection may stay silent
    heartbeat: float = Field(default=1.5, gt=0)  # seconds between pings, and that a peer may take to answer
    send_timeout: float = Field(default=5.0, gt=0)  # seconds that a peer may refuse to read before it is cut off
    message_rate: float = Field(default=500.0, gt=0)  # messages a second that one connection may send for long
    message_burst: int = Field(default=1000, ge=1)  # messages that it may send at once
    outbox: int = Field(default=512, ge=8)  # messages that may wait for one reader; then news are dropped

    recordings: Path | None = None  # folder that sessions may be recorded into; absent: recording is refused
    recording_duration: float = Field(default=3600.0, gt=0)  # seconds that one recording may last
    recording_bytes: int = Field(default=2**30, ge=2**16)  # that one recording may take
    recordings_bytes: int = Field(default=10 * 2**30, ge=2**16)  # that everything in the folder may take

    watermark: bool = True  # mark pictures that are compressed for viewers as generated, invisibly
    watermark_id: int = Field(default=0, ge=0, le=65535)  # that the mark says, to tell your server from others

    twins: int = Field(default=1, ge=0, le=64)  # engines beside their dreams at a time, where they are installed

    encode_threads: int = Field(default=2, ge=1, le=64)  # threads that compress pictures, for all sessions
    warm_up: bool = True  # run a session through the whole path before /readyz says so
    warm_up_timeout: float = Field(default=120.0, gt=0)  # seconds; a world that takes longer is not ready

    webrtc: WebRtcSettings = WebRtcSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    images: ImageSettings = ImageSettings()
    manifest: ManifestSettings = ManifestSettings()

    def compressing_with(self, h264: H264) -> ServerSettings:
        """The same, with H.264 by this program."""
        encoder = self.webrtc.encoder.model_copy(update={"h264": h264})
        return self.model_copy(update={"webrtc": self.webrtc.model_copy(update={"encoder": encoder})})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line wins over the environment, which wins over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load(path: Path | None = None, **overrides: Any) -> ServerSettings:
    """Settings from a TOML file (if any), the environment, and the overrides that are not None.

    Raises:
        ValueError: the file is missing or not TOML, or a setting is unknown or out of bounds.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    if path is None:
        return ServerSettings(**given)
    if not path.is_file():
        raise ValueError(f"expected a settings file, got {path}, which does not exist")

    class FromFile(ServerSettings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return FromFile(**given)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"expected TOML in {path}: {error}") from error
