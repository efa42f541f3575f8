"""Blocks of optimizer steps: where they end, and how a stream resumes."""

import itertools
import re
from pathlib import Path

import pytest
import torch

from src.data.streams import FreshExamples
from src.distributions.sparse import Sparse
from src.errors import ConfigError

MAX_STEPS = 23  # a prime, so that most block sizes leave a shorter last block


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stream(block_size: int, max_steps: int = MAX_STEPS, seeds: tuple[int, ...] = (0,)) -> FreshExamples:
    """A small stream; with several seeds, one of independent data."""
    return FreshExamples(Sparse(3, 0.5), 4, [seeded(seed) for seed in seeds], block_size, max_steps, len(seeds) == 1)


@pytest.mark.parametrize("seeds", [(0,), (5, 6)], ids=["shared", "independent"])
@pytest.mark.parametrize("block_size", [2, 3, 7, 10, 23, 50])
def test_the_data_of_a_step_do_not_depend_on_the_block_size(block_size: int, seeds: tuple[int, ...]) -> None:
    one_by_one = torch.cat(list(stream(1, seeds=seeds)))
    assert torch.equal(torch.cat(list(stream(block_size, seeds=seeds))), one_by_one)


def test_every_step_has_fresh_data() -> None:
    steps = torch.cat(list(stream(5)))
    assert len({tuple(step.flatten().tolist()) for step in steps}) == MAX_STEPS


def test_a_block_ends_at_max_steps() -> None:
    assert [len(block) for block in stream(7, max_steps=23)] == [7, 7, 7, 2]


def test_a_run_of_whole_blocks_ends_without_an_empty_one() -> None:
    assert [len(block) for block in stream(7, max_steps=21)] == [7, 7, 7]


def test_a_block_ends_at_a_multiple_of_the_block_size_wherever_the_stream_starts() -> None:
    saved = stream(3)
    next(iter(saved))
    resumed = stream(7)
    resumed.load_state_dict(saved.state_dict())
    assert [len(block) for block in resumed] == [4, 7, 7, 2]


def test_without_a_last_step_the_stream_goes_on() -> None:
    assert [len(block) for block in itertools.islice(stream(7, max_steps=-1), 20)] == [7] * 20


def test_a_stream_without_steps_has_no_blocks() -> None:
    assert list(stream(7, max_steps=0)) == []


def test_a_stream_that_has_ended_stays_ended() -> None:
    finished = stream(7)
    list(finished)
    assert list(finished) == []


def test_a_second_loop_goes_on_where_the_first_one_stopped() -> None:
    interrupted, whole = stream(5), list(stream(5))
    first = next(iter(interrupted))
    assert torch.equal(torch.cat([first, *interrupted]), torch.cat(whole))


def test_a_shared_block_is_step_by_batch_by_feature() -> None:
    assert next(iter(stream(5))).shape == (5, 4, 3)


def test_an_independent_block_has_an_instance_axis_after_the_step_axis() -> None:
    assert next(iter(stream(5, seeds=(0, 1)))).shape == (5, 2, 4, 3)


@pytest.mark.parametrize("seeds", [(0,), (5, 6)], ids=["shared", "independent"])
@pytest.mark.parametrize("n_blocks", range(6))
def test_a_stream_resumed_from_its_state_goes_on_bit_for_bit(n_blocks: int, seeds: tuple[int, ...]) -> None:
    """Saved after any number of blocks, as Lightning does: between two calls of `next` on one iterator."""
    saved = stream(5, seeds=seeds)
    blocks = iter(saved)
    for _ in range(n_blocks):
        next(blocks)
    state = saved.state_dict()
    resumed = stream(5, seeds=tuple(seed + 100 for seed in seeds))
    resumed.load_state_dict(state)
    rest = list(blocks)
    assert len(rest) == 5 - n_blocks
    assert all(torch.equal(a, b) for a, b in zip(resumed, rest, strict=True))


def test_a_state_saved_inside_a_loop_holds_the_position_after_the_block_in_hand() -> None:
    saved, states = stream(5), []
    for _ in saved:
        states.append(saved.state_dict()["step"])
    assert states == [5, 10, 15, 20, 23]


def test_a_saved_state_stays_as_it_was_while_the_stream_goes_on() -> None:
    saved = stream(5)
    blocks = iter(saved)
    next(blocks)
    state = saved.state_dict()
    rest = torch.cat(list(blocks))
    resumed = stream(5)
    resumed.load_state_dict(state)
    assert torch.equal(torch.cat(list(resumed)), rest)


def test_a_state_survives_being_saved_and_loaded_as_tensors_only(tmp_path: Path) -> None:
    saved = stream(5, seeds=(0, 1))
    next(iter(saved))
    torch.save(saved.state_dict(), tmp_path / "state")
    resumed = stream(5, seeds=(8, 9))
    resumed.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert torch.equal(torch.cat(list(resumed)), torch.cat(list(saved)))


@pytest.mark.parametrize(("n_saved", "n_configured"), [(1, 2), (3, 2), (2, 1)])
def test_a_state_of_another_number_of_streams_is_refused(n_saved: int, n_configured: int) -> None:
    state = stream(5, seeds=tuple(range(n_saved))).state_dict()
    sentence = f"the number of data streams in the checkpoint is {n_saved}; it must be {n_configured}"
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        stream(5, seeds=tuple(range(n_configured))).load_state_dict(state)


def test_a_refused_state_leaves_the_stream_as_it_was() -> None:
    other = stream(5, seeds=(7, 8, 9))
    next(iter(other))
    kept = stream(5, seeds=(0, 1))
    with pytest.raises(ConfigError):
        kept.load_state_dict(other.state_dict())
    assert torch.equal(torch.cat(list(kept)), torch.cat(list(stream(5, seeds=(0, 1)))))


# The stream of a run
