"""What is counted of a hand: in its box, at rest where nothing is asked, and the same in a batch as alone."""

from __future__ import annotations

import torch

from worldloom.models.reach import OPEN, Arm, Reach, ReachConfig, standing

from .tiny import randomise

LOW, HIGH = (-0.5, 0.4, 0.05), (0.5, 1.0, 0.5)


def pulled() -> Reach:
    """A spring alone: what a network would add is nothing yet."""
    return Reach(ReachConfig(LOW, HIGH, width=8)).requires_grad_(False)


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


def test_a_batch_rounds_as_each_alone() -> None:
    reach = pulled()
    randomise(reach, 3, 0.1)
    places = torch.rand(5, 3, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.1
    rows = torch.rand(5, 2, 4, generator=torch.Generator().manual_seed(1)) * 2.0 - 1.0
    with torch.inference_mode():
        together = reach(standing(places), rows)
        alone = [reach(standing(places[k : k + 1]), rows[k : k + 1]) for k in range(5)]
    for k, one in enumerate(alone):
        assert torch.equal(one.hand[0], together.hand[k])
