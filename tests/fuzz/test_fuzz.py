"""Every configuration either fits two steps or ends in one sentence and exit status 2, or 1 if it diverges.

`TOY_FUZZ=1000 TOY_FUZZ_SEED=200 python -m pytest -m slow tests/fuzz -k one_sentence` tries others, and more of them;
what they came to is printed at the end.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.examples import EXAMPLES, FILES, MORE
from tests.fuzz.promise import Ending, ending, make_given
from tests.fuzz.strategies import Case, drawn
from tests.running import slow

N_CASES = int(os.environ.get("TOY_FUZZ", "200"))
FIRST_SEED = int(os.environ.get("TOY_FUZZ_SEED", "0"))
N_SHARDS = 8

pytestmark = pytest.mark.filterwarnings("ignore")  # the guard shows them as a user sees them


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that command lines name."""
    return make_given(tmp_path_factory.mktemp("given"))


def said_of(end: Ending) -> str:
    return "\n".join(f"    {kind}: {what}" for kind, what in end.broken)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(N_SHARDS))
def test_a_configuration_fits_or_is_refused_in_one_sentence(
    shard: int,
    given: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    seeds = range(FIRST_SEED + shard, FIRST_SEED + N_CASES, N_SHARDS)
    statuses, broken = Counter[str](), []
    for seed in seeds:
        case = drawn(seed)
        (tmp_path / "case.txt").write_text(f"seed {seed}: {case!r}")  # what to look at should it end the process
        end = ending(case, tmp_path / str(seed), given)
        shutil.rmtree(tmp_path / str(seed))
        statuses[f"with status {end.status}"] += 1
        broken += [f"seed {seed}: {case!r}\n{said_of(end)}"] if end.broken else []
    record_property("fuzz", {"configurations": len(seeds), **statuses, "broken promises": len(broken)})
    if broken:
        pytest.fail("\n".join(broken), pytrace=False)


def case_of(line: str) -> Case:
    command, *arguments = line.split(" --")
    words = command.split(" ")
    return Case(words[0], (*words[1:], *(f"--{argument}" for argument in arguments)))


def name_of(case: Case) -> str:
    words = f"{case.command} {' '.join(case.arguments)} {case.config[:20]!r}".removesuffix(" b''")
    return words if len(words) < 120 else f"{words[:60]}...{words[-40:]}"


SLOW_CASES = [*map(case_of, MORE), *(Case("fit", ("--config={case}",), content) for content in FILES)]


@pytest.mark.parametrize("case", [*map(case_of, EXAMPLES), *map(slow, SLOW_CASES)], ids=name_of)
def test_what_once_broke_the_promise_keeps_it(case: Case, given: Path, tmp_path: Path) -> None:
    end = ending(case, tmp_path / "run", given)
    if end.broken:
        pytest.fail(f"{case!r}\n{said_of(end)}", pytrace=False)
