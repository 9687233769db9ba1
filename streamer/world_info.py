"""A world as a client is told of it: its picture, its clock and its controls.

`WorldInfo` mirrors `models.spec.WorldSpec`; knows no message, socket or clock, and loads neither torch nor weights.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from worldloom.models.spec import WorldSpec

from .fields import MAX_INT, Count, Line, Message, Name, Number, Switch


class AxisInfo(Message):
    """One analogue column of an action."""

    name: Name
    low: Number = Field(description="lowest value of one frame, in `unit`")
    high: Number = Field(description="highest value of one frame, in `unit`")
    unit: Annotated[str, Field(max_length=64)]
    kind: Literal["level", "amount"] = Field(description="a level holds until changed; an amount is spent once")


class KeyInfo(Message):
    """What holding one key adds to one column, every frame."""

    column: Name
    value: Number


class ActionInfo(Message):
    """The action vector: the buttons, then the axes; and how keys and the mouse map to it."""

    buttons: Annotated[tuple[Name, ...], Field(max_length=256)]
    axes: Annotated[tuple[AxisInfo, ...], Field(max_length=256)]
    keys: Annotated[dict[Name, KeyInfo], Field(max_length=256, description="by KeyboardEvent.code")]
    look: tuple[Name | None, Name | None] = Field(description="axes that (yaw, pitch) of `look` feed")

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in order: buttons, then axes."""
        return self.buttons + tuple(axis.name for axis in self.axes)


class WorldInfo(Message):
    """A world's picture, clock and controls."""

    name: Name
    title: Line = ""
    help: Line = ""
    height: Annotated[int, Field(ge=1, le=65535, description="pixels")]
    width: Annotated[int, Field(ge=1, le=65535, description="pixels")]
    fps: tuple[Annotated[int, Field(ge=1, le=MAX_INT)], Annotated[int, Field(ge=1, le=MAX_INT)]] = Field(
        description="frames a second, as numerator and denominator"
    )
    chunk: Annotated[int, Field(ge=1, le=1024, description="frames that one step makes")]
    actions: ActionInfo
    prompts: bool = Field(description="takes a text")
    images: bool = Field(description="takes a picture")
    switches: Annotated[tuple[Switch, ...], Field(max_length=8)] = Field(
        default=(), description="ways in which `say` changes its text while it goes on; empty: it cannot"
    )
    horizon: Count = Field(default=0, description="frames of the episodes that it learned from; 0: not known")
    looks: Annotated[tuple[Number, ...], Field(max_length=8)] = Field(
        default=(), description="mean luma, saturation and sharpness of what it should look like; empty: not known"
    )

    scenes: Annotated[tuple[Name, ...], Field(max_length=256)] = Field(
        default=(), description="names of what it begins with: seed s begins with number s modulo how many; empty: none"
    )

    def seed_of(self, scene: str, seed: int = 0) -> int:
        """The seed nearest below that begins with this scene, or where there is none below, its number.

        Raises:
            ValueError: the world has no scene of that name.
        """
        if scene not in self.scenes:
            known = ", ".join(self.scenes) or "it has none"
            raise ValueError(f"expected a scene of {self.name} ({known}), got {scene!r}")
        number, count = self.scenes.index(scene), len(self.scenes)
        return seed - (seed - number) % count if seed >= number else number

    @classmethod
    def of(cls, spec: WorldSpec) -> WorldInfo:
        """What a client is told of `spec`."""
        actions = ActionInfo(
            buttons=spec.actions.buttons,
            axes=tuple(
                AxisInfo(name=axis.name, low=axis.low, high=axis.high, unit=axis.unit, kind=axis.kind)
                for axis in spec.actions.axes
            ),
            keys={code: KeyInfo(column=key.column, value=key.value) for code, key in spec.actions.keys.items()},
            look=spec.actions.look,
        )
        return cls(
            name=spec.name,
            title=spec.title,
            help=spec.help,
            height=spec.height,
            width=spec.width,
            fps=spec.fps.as_integer_ratio(),
            chunk=spec.chunk,
            actions=actions,
            prompts=spec.prompts,
            images=spec.images,
            switches=spec.switches,
            horizon=spec.horizon,
            scenes=spec.scenes,
            looks=spec.looks,
        )
