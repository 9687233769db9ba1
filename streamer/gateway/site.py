"""A worker as the gateway last heard of it. Knows times and the latest report; asks nobody."""

from __future__ import annotations

from .placement import Room
from .report import Report, Worker


class Site:
    """See the module."""

    def __init__(self, worker: Worker, now: float) -> None:
        self.worker = worker
        self.report: Report | None = None  # the latest; None while there is none, or its process is gone
        self.heard = now  # seconds, when the latest answer came
        self.number = 0  # of the latest call for a report
        self.acknowledged = 0  # of the latest one that was answered
        self.granted = 0  # places given since the latest report began
        self.draining = False  # nobody is sent there

    @property
    def name(self) -> str:
        """The worker's."""
        return self.worker.name

    @property
    def state(self) -> str:
        """One of those that `Figures.workers` counts."""
        if self.draining:
            return "draining"
        if self.report is None:
            return "away"
        return "ready" if self.report.ready else "starting"

    @property
    def room(self) -> Room:
        """What it has left: nothing where nobody may be sent."""
        if self.report is None or self.state != "ready":
            return Room(self.name, 0, 0)
        return Room(self.name, self.report.places, self.report.taken + self.granted)
