"""What a stranger may send: random bytes, random JSON, and valid messages and offers with something changed.

Everything comes from the dice that it is given, so a failure can be thrown again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from worldloom.streamer.fields import Message
from worldloom.streamer.protocol import encode

EXTREMES = ("0", "-1", "1", "65536", "4294967296", "99999999999999999999", "", "\x00", "a=", "é", "\u2028")


def noise(dice: random.Random, samples: Sequence[Message]) -> str | bytes:
    """Random bytes, random JSON, or a valid message with something changed."""
    match dice.randrange(6):
        case 0:
            return dice.randbytes(dice.randrange(64))
        case 1:
            return json.dumps(random_value(dice, depth=4))
        case 2:
            text = encode(dice.choice(samples))
            at = dice.randrange(len(text))
            return text[:at] + dice.choice('{}[]",:0-eNa\\\x00\u2028') + text[at + dice.randrange(3) :]
        case 3:
            return encode(dice.choice(samples))
        case _:
            message = json.loads(encode(dice.choice(samples)))
            field = dice.choice(list(message))
            message[field] = random_value(dice, depth=2)
            if dice.random() < 0.2:
                message[dice.choice(["extra", "seq", "values", "down"])] = random_value(dice, depth=1)
            return json.dumps(message)


def random_value(dice: random.Random, depth: int) -> Any:
    scalars = [None, True, 0, -1, 1, 7, 2**53, 10**30, 0.5, -6.5, 1e300, float("nan"), float("inf"), "", "KeyW", "key"]
    scalars += ["look", "lockstep", "\x00", "é" * 40, "KeyZ", "ArrowLeft"]
    kind = dice.randrange(8) if depth else 7
    if kind == 0:
        return [random_value(dice, depth - 1) for _ in range(dice.randrange(9))]
    if kind == 1:
        names = ["type", "seq", "values", "code", "down", "lever", "turn", "x"]
        return {dice.choice(names): random_value(dice, depth - 1) for _ in range(dice.randrange(5))}
    return dice.choice(scalars)


def changed_sdp(dice: random.Random, offers: Sequence[str]) -> str:
    """A session description with some lines lost, doubled, swapped, mixed with another's or changed inside."""
    lines = dice.choice(offers).splitlines()
    for _ in range(dice.randrange(1, 5)):
        at = dice.randrange(len(lines))
        match dice.randrange(7):
            case 0:
                lines = lines[:at] + lines[at + 1 :] or lines
            case 1:
                lines.insert(at, dice.choice(lines))
            case 2:
                other = dice.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                words = lines[at].split(" ")
                words[dice.randrange(len(words))] = dice.choice(EXTREMES)
                lines[at] = " ".join(words)
            case 4:
                line = lines[at]
                where = dice.randrange(len(line) + 1)
                lines[at] = line[:where] + dice.choice(EXTREMES) + line[where + dice.randrange(3) :]
            case 5:
                lines = lines[: at + 1]
            case _:
                lines.insert(at, dice.choice(dice.choice(offers).splitlines()))
    return dice.choice(("\r\n", "\r\n", "\n")).join(lines) + dice.choice(("\r\n", ""))
