"""How often the same initialisation ends in the same geometry under different settings."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from src.results.rates import rate, rates_of

Rows = Iterable[Mapping[str, Any]]  # to be read more than once


def agreement_rows(censuses: Mapping[str, Rows]) -> list[dict[str, Any]]:
    """How often the same seed has the same geometry in two censuses, for each pair of them that has the same seeds.

    Rows are not kept, but where the seeds are not in ascending order.

    Returns: rows with `first, second, count, n, share, low, high, by_chance`; the last is the share that two censuses
        with these rates would have in common if their seeds had nothing to do with each other. A census with a seed
        twice is left out.
    """
    alike: dict[str, list[str]] = {}
    for name, census in censuses.items():
        digest = _digest(census)
        if digest is not None:
            alike.setdefault(digest, []).append(name)
    rows = [row for names in alike.values() for row in _rows({name: censuses[name] for name in names})]
    order = list(itertools.combinations(censuses, 2))
    return sorted(rows, key=lambda row: order.index((row["first"], row["second"])))


def _rows(censuses: Mapping[str, Rows]) -> Iterator[dict[str, Any]]:
    """`agreement_rows` of censuses of the same seeds, read side by side."""
    pairs = list(itertools.combinations(range(len(censuses)), 2))
    same: Counter[tuple[int, int]] = Counter()
    counts = [Counter[str]() for _ in censuses]
    for of_a_seed in zip(*map(_by_seed, censuses.values()), strict=True) if pairs else ():
        geometries = [geometry for _, geometry in of_a_seed]
        same.update(pair for pair in pairs if geometries[pair[0]] == geometries[pair[1]])
        for own, geometry in zip(counts, geometries, strict=True):
            own[geometry] += 1
    names = list(censuses)
    for a, b in pairs:
        first, second = rates_of(counts[a]), rates_of(counts[b])
        chance = sum(own.share * second[name].share for name, own in first.items() if name in second)
        share = rate(same[a, b], counts[a].total())
        yield {"first": names[a], "second": names[b], **share.row(), "by_chance": chance}


def _by_seed(census: Rows) -> Iterator[tuple[int, str]]:
    """Seeds and geometries, by ascending seed: as they come, if they come so."""
    rows = ((int(row["seed"]), str(row["geometry"])) for row in census)
    return rows if _ascends(census) else iter(sorted(rows))


def _ascends(census: Rows) -> bool:
    return all(a < b for a, b in itertools.pairwise(int(row["seed"]) for row in census))


def _digest(census: Rows) -> str | None:
    """What is the same for censuses of the same seeds; None if a seed is there twice."""
    digest, before = sha256(), None
    for seed, _ in _by_seed(census):
        if seed == before:
            return None
        digest.update(b"%d " % seed)
        before = seed
    return digest.hexdigest()
