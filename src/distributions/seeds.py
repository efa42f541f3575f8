"""Random generators: one for each purpose, unrelated to that of another seed or purpose."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

# What a random stream is for, which keeps the streams of one seed apart.
TRAINING, VALIDATION, INSTANCE, DONORS, COLUMNS, EXAMPLES, EDITS = range(7)
N_SEEDS = 2**32  # what torch's CPU generator tells apart


def generator_for(seed: int, purpose: int, instance_seed: int = 0) -> torch.Generator:
    """A CPU generator for one purpose, unrelated to that of another seed or purpose.

    torch's generator tells 2^32 seeds apart, so those of a run's instances are numbered from a hashed start: they never
    coincide.
    """
    digest = hashlib.sha256(repr((seed, purpose)).encode()).digest()
    return torch.Generator().manual_seed((int.from_bytes(digest[:4], "little") + instance_seed) % N_SEEDS)


@contextmanager
def kept(generators: Sequence[torch.Generator]) -> Iterator[None]:
    """After this block these generators, and torch's own on the CPU, are as they were before it."""
    before = [generator.get_state() for generator in generators]
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)
