"""What Prometheus may ask: names, units and bounded labels. Knows numbers only.

Every app has its own registry, so that two apps in one process (tests, embedding) do not clash. The labels are worlds
that are served, transports, causes and error codes: all lists that we wrote, never a stranger's text.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from . import errors
from .capacity import LIMITS, Capacity
from .transports.tally import Departure, LineReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_MS = (0.5, 1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)
_BUCKETS = tuple(ms / 1000 for ms in _MS)
_FRACTIONS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Metrics:
    """The instruments of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connections = self._gauge("connections", "open WebSockets")
        self.sessions = self._gauge("sessions", "open sessions", "world")
        self.states = self._gauge("states", "model states held", "world")
        self.parked = self._gauge("parked", "paused sessions whose memory is parked", "world")
        self.phases = self._gauge("sessions_by_phase", "sessions, orphans among them", "phase")
        self.ready = self._gauge("ready", "1 when a warm-up session has run through the whole path", "world")
        self.places = self._gauge("places", "sessions that each limit alone allows", "world", "limit")
        self.load = self._gauge("load", "share of a chunk's duration that one realtime step takes", "world")
        self.overload = self._gauge("overload_level", "0: nothing is given up for speed", "world")
        self.restarts = self._gauge("engine_restarts", "engines that died and were replaced", "world")
        self.waiting = self._gauge("waiting", "clients in line for a place", "world")
        self.opened = self._counter("sessions_opened", "sessions since the start", "world", "video")
        self.frames = self._counter("frames", "frames that left", "world", "video")
        self.octets = self._counter("video_bytes", "bytes of pictures that left", "world", "video")
        self.drops = self._counter(
            "drops", "made and dropped: frames replaced by newer ones, messages over the outbox", "world", "cause"
        )
        self.key_frames = self._counter("key_frames", "pictures that stand alone, of codecs", "world", "cause")
        self.leases = self._counter("leases", "places promised by HTTP: made, refused, expired unused", "fate")
        self.recordings = self._gauge("recordings", "sessions that are being recorded", "world")
        self.recorded = self._counter("recording_bytes", "bytes of recordings that were written", "world")
        self.images = self._counter("images", "start pictures: kept, refused, or dropped for newer ones", "fate")
        self.controls = self._counter("controls", "controls received", "world")
        self.errors = self._counter("errors", "errors told to a client", "code")
        self.step_seconds = self._histogram("step_seconds", "one step of the world", "world")
        self.encode_seconds = self._histogram("encode_seconds", "compressing one picture", "video", "encoder")
        self.loss = self._histogram(
            "line_loss", "fraction of packets lost on the way, as viewers report", "video", buckets=_FRACTIONS
        )
        self.playout_seconds = self._histogram(
            "playout_delay_seconds", "how long viewers are told to hold pictures back, at each report", "video"
        )
        self.age_seconds = self._histogram("frame_age_seconds", "from sampling the controls to sending", "video")

        self.photon_seconds = self._histogram(
            "input_to_photon_seconds",
            "from an input to the picture that shows it",
            "world",
            "part",
        )

    def departed(self, video: str, departure: Departure) -> None:
        """A frame left."""
        self.encode_seconds.labels(video, departure.coder).observe(departure.encode_ns / 1e9)
        self.age_seconds.labels(video).observe(departure.age_ns / 1e9)

    def key_frame(self, world: str, asked: bool) -> None:
        """A picture that stands alone was made."""
        self.key_frames.labels(world, "asked" if asked else "unasked").inc()

    def heard(self, video: str, report: LineReport) -> None:
        """A viewer told how its line is."""
        self.loss.labels(video).observe(report.lost)
        self.playout_seconds.labels(video).observe(report.held_ms / 1000.0)

    def error(self, code: str) -> None:
        """An error was told to a client."""
        self.errors.labels(code if code in CODES else "other").inc()

    def capacity(self, world: str, capacity: Capacity | None) -> None:
        """How many sessions a world takes."""
        if capacity is None:
            return
        for limit in LIMITS:
            places: int | None = getattr(capacity.places, limit)
            if places is not None:
                self.places.labels(world, limit).set(places)
        self.load.labels(world).set(capacity.load)
        self.overload.labels(world).set(capacity.measured.level)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, help: str, *labels: str) -> Gauge:
        return Gauge(f"worldloom_{name}", help, labels, registry=self.registry)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"worldloom_{name}", help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, *labels: str, buckets: tuple[float, ...] = _BUCKETS) -> Histogram:
        return Histogram(f"worldloom_{name}", help, labels, registry=self.registry, buckets=buckets)


def _codes(root: type[errors.WorldloomError]) -> set[str]:
    return {root.code}.union(*(_codes(child) for child in root.__subclasses__()))


CODES = frozenset(_codes(errors.WorldloomError))  # every code that may cross the wire
