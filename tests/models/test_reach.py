"""What is counted of a hand: in its box, at rest where nothing is asked, and the same in a batch as alone."""

from __future__ import annotations

import pytest
import torch

from worldloom.models.reach import LEAST, OPEN, ROOM, WIDEST, Arm, Reach, ReachConfig, standing
from worldloom.models.thing import Thing

from .tiny import DRAWER, PUCK, randomise

LOW, HIGH = (-0.5, 0.4, 0.05), (0.5, 1.0, 0.5)


def pulled(*things: Thing) -> Reach:
    """A spring alone: what a network would add is nothing yet."""
    return Reach(ReachConfig(LOW, HIGH, things, width=8)).requires_grad_(False)


def on(reach: Reach, arm: Arm, rows: list[float], frames: int) -> Arm:
    for _ in range(frames):
        arm = reach(arm, torch.tensor(rows).expand(len(arm.hand), 2, 4))
    return arm


def test_who_is_asked_nothing_stays() -> None:
    arm = standing(torch.tensor([[0.1, 0.6, 0.2]]))
    after = on(pulled(), arm, [0.0] * 4, 20)
    torch.testing.assert_close(after.hand, arm.hand)
    assert after.hand[0, 3] == OPEN


def test_a_hand_follows_its_target_and_the_target_stays_in_its_box() -> None:
    arm = standing(torch.tensor([[0.1, 0.6, 0.2]]))
    soon, late = (on(pulled(), arm, [1.0, 0.0, 0.0, 0.0], frames) for frames in (3, 100))
    assert 0.1 < float(soon.hand[0, 0]) < float(soon.target[0, 0]), "it is pulled, and behind"
    torch.testing.assert_close(soon.target[0, 0], torch.tensor(0.13))
    assert float(late.target[0, 0]) == HIGH[0]
    torch.testing.assert_close(late.hand[0, :3], torch.tensor([HIGH[0], 0.6, 0.2]), atol=0.01, rtol=0.0)


def test_a_count_that_runs_away_is_held_and_comes_back() -> None:
    reach, arm = pulled(), standing(torch.tensor([[0.1, 0.6, 0.2]]))
    last, fingers = reach.net[-1], reach.fingers[-1]
    assert isinstance(last, torch.nn.Linear)
    assert isinstance(fingers, torch.nn.Linear)
    with torch.inference_mode():
        last.bias.fill_(100.0)  # a metre a frame
        fingers.bias.fill_(10.0)
        away = on(reach, arm, [0.0] * 4, 50)
        torch.testing.assert_close(away.hand[0, :3], torch.tensor(HIGH) + ROOM)
        assert float(away.hand[0, 3]) == pytest.approx(WIDEST)
        last.bias.zero_()
        back = on(reach, away, [0.0] * 4, 50)
    torch.testing.assert_close(back.hand[0, :3], arm.hand[0, :3], atol=0.01, rtol=0.0)


def test_a_handle_slides_along_its_axis_alone_and_not_by_a_hair() -> None:
    reach, arm = pulled(DRAWER), standing(torch.tensor([[0.1, 0.6, 0.2]]), torch.tensor([[0.02, 0.7, 0.09]]))
    assert reach.slide
    last = reach.slide[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.inference_mode():
        last.weight.zero_()
        last.bias.fill_(-80.0 * LEAST)
        assert torch.equal(on(reach, arm, [0.0] * 4, 9).thing, arm.thing)
        last.bias.fill_(-100.0 * 0.01)
        torch.testing.assert_close(on(reach, arm, [0.0] * 4, 3).thing, torch.tensor([[0.02, 0.67, 0.09]]))
        torch.testing.assert_close(on(reach, arm, [0.0] * 4, 90).thing, torch.tensor([[0.02, DRAWER.low[1], 0.09]]))


def test_what_is_loose_is_carried_and_what_slides_beside_it_is_not() -> None:
    reach = pulled(DRAWER, PUCK)
    assert reach.slide
    last = reach.slide[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.inference_mode():
        last.weight.zero_()
        last.bias.zero_()
        last.bias[-1] = 100.0  # all of the hand's way
        place, thing = torch.tensor([[0.1, 0.6, 0.2]] * 2), torch.tensor([[0.1, 0.6, 0.19]] * 2)
        arm = standing(place, thing, torch.tensor([0, 1]))
        after = on(reach, arm, [1.0, -1.0, 1.0, 1.0], 10)
    gone = after.hand[1, :3] - place[1]
    assert float(gone.abs().min()) > 0.03
    torch.testing.assert_close(after.thing[1] - thing[1], gone, atol=1e-5, rtol=0.0)
    assert torch.equal(after.thing[0], thing[0])
    assert torch.equal(after.kind, arm.kind)
    assert float((after.left - after.thing)[1].abs().min()) > 0.001


@pytest.mark.parametrize("things", [(), (DRAWER,), (DRAWER, PUCK)])
def test_a_batch_rounds_as_each_alone(things: tuple[Thing, ...]) -> None:
    reach = pulled(*things)
    randomise(reach, 3, 0.1)
    places = torch.rand(5, 3, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.1
    rows = torch.rand(5, 2, 4, generator=torch.Generator().manual_seed(1)) * 2.0 - 1.0
    with torch.inference_mode():
        beside, kinds = places - 0.02, torch.arange(5) % max(1, len(things))
        together = reach(standing(places, beside, kinds), rows)
        alone = [
            reach(standing(*(part[k : k + 1] for part in (places, beside, kinds))), rows[k : k + 1]) for k in range(5)
        ]
    for k, one in enumerate(alone):
        assert torch.equal(one.places[0], together.places[k])
