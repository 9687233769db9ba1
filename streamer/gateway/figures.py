"""What Prometheus may ask of a gateway, and what an autoscaler goes by. Knows numbers; labels are lists of ours."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

AGES_S = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 30.0, 60.0)


class Figures:
    """The instruments of one gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.workers = self._gauge("workers", "workers by state: ready, starting, draining, away", "state")
        self.wanted = self._gauge("workers_wanted", "how many would suit; for an autoscaler")
        self.places = self._gauge("places", "of all workers that are ready")
        self.taken = self._gauge("places_taken", "of them")
        self.sessions = self._gauge("sessions", "sessions of the fleet, those between two workers among them")
        self.homeless = self._gauge("sessions_homeless", "sessions that wait for a worker to go on")
        self.vault = self._gauge("vault_bytes", "what snapshots hold in the gateway")
        self.leases = self._counter("leases", "places asked for: made, busy, refused, away", "fate")
        self.moved = self._counter("sessions_moved", "sessions that went on elsewhere")
        self.age_seconds = Histogram(
            "worldloom_fleet_snapshot_age_seconds",
            "how old the snapshots were from which sessions went on, counted to when they could",
            registry=self.registry,
            buckets=AGES_S,
        )
        self.ended = self._counter("sessions_lost", "sessions that could not go on", "cause")
        self.lost = self._counter("workers_lost", "processes of workers that died or were given up")

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, help: str, *labels: str) -> Gauge:
        return Gauge(f"worldloom_fleet_{name}", help, labels, registry=self.registry)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"worldloom_fleet_{name}", help, labels, registry=self.registry)
