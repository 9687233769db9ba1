"""How much an evaluation measures: all its counts in one place, so that a test can ask for little of everything."""

from __future__ import annotations

from dataclasses import dataclass

from .blind import Length


@dataclass(frozen=True)
class Counts:
    """How much is measured."""

    contexts: int = 2_048  # next-frame predictions
    rollouts: int = 96  # clips of 64 dreamed frames: rollouts, controls, clips, seams, the gripper
    far: int = 8  # clips of 256 dreamed frames, where the held-out episodes are that long
    starts: int = 20  # start places per direction
    drift_streams: int = 12  # streams that dream for long
    drift_frames: int = 1_000  # frames that each of them dreams
    drift_tail: int = 400  # of these, the last ones are compared
    long_streams: int = 4  # streams that dream for very long
    long_frames: int = 10_000  # frames that each of them dreams
    long_tail: int = 2_000  # of these, the last ones are compared
    places: int = 16  # places from which an engine played a script: a turn around, a walk there and back, a wall
    attempts: int = 24  # attempts at the task of an arm
    task_frames: int = 48_000  # training frames from which the classifier of its success learns
    reader_frames: int = 16_000  # training frames from which the inverse dynamics learn
    reader_steps: int = 2_000  # training steps of a reader that the evaluation trains
    batch: int = 20  # streams dreamed at once

    @property
    def long(self) -> Length:
        """Dreams in which drift is looked for."""
        return Length(self.drift_streams, self.drift_frames, self.drift_tail)

    @property
    def longer(self) -> Length:
        """The same, of the very long ones."""
        return Length(self.long_streams, self.long_frames, self.long_tail)


QUICK = Counts(
    contexts=128,
    rollouts=16,
    far=2,
    starts=4,
    drift_streams=2,
    drift_frames=80,
    drift_tail=40,
    long_streams=1,
    long_frames=400,
    long_tail=200,
    places=6,
    attempts=8,
    task_frames=8_000,
)
"""A look while a training runs; too few for numbers to publish. Readers are trained as for the full measurement."""
