"""Every configuration either fits two steps or ends in one sentence and exit status 2, or 1 if it diverges.

`TOY_FUZZ=2000 TOY_FUZZ_SEED=7 pytest -m slow tests/fuzz` tries other configurations, and more of them.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")

from tests.fuzz.examples import EXAMPLES, FILES, MORE
from tests.fuzz.promise import ending, make_given
from tests.fuzz.strategies import Case, drawn
from tests.running import slow

N_CASES = int(os.environ.get("TOY_FUZZ", "200"))
FIRST_SEED = int(os.environ.get("TOY_FUZZ_SEED", "0"))
N_SHARDS = 8


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that command lines name."""
    return make_given(tmp_path_factory.mktemp("given"))


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(N_SHARDS))
def test_a_configuration_fits_or_is_refused_in_one_sentence(
    shard: int,
    given: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    numbers = range(FIRST_SEED + shard, FIRST_SEED + N_CASES, N_SHARDS)
    statuses, broken = Counter[str](), []
    for number in numbers:
        case = drawn(number)
        (tmp_path / "case.txt").write_text(f"{number}: {case}")  # what to look at should it end the process
        end = ending(case, tmp_path / str(number), given)
        shutil.rmtree(tmp_path / str(number))
        statuses[str(end.status)] += 1
        broken += [f"{number}: {kind}: {what}\n    {case}" for kind, what in end.broken]
    counts = ", ".join(f"{count} with status {status}" for status, count in sorted(statuses.items()))
    summary = f"seeds {numbers[0]} to {numbers[-1]}: {len(numbers)} configurations, {counts}"
    record_property("fuzz", summary)
    with capsys.disabled():
        print(f"\n{summary}, {len(broken)} broken promises")
    if broken:
        pytest.fail("\n".join([summary, *broken]), pytrace=False)


OF_FILES = [Case("fit", ("--config={case}",), content) for content in FILES]


def name_of(case: Case) -> str:
    words = " ".join(case.arguments).replace("=lightning.pytorch.", "=").replace("torch.optim.", "")
    return f"{case.command} {words}"[:100] + repr(case.config[:20] or "")


def case_of(line: str) -> Case:
    command, *arguments = line.split(" --")
    words = command.split(" ")
    return Case(words[0], (*words[1:], *(f"--{argument}" for argument in arguments)))


@pytest.mark.parametrize("case", [*map(case_of, EXAMPLES), *map(slow, [*map(case_of, MORE), *OF_FILES])], ids=name_of)
def test_what_once_broke_the_promise_keeps_it(case: Case, given: Path, tmp_path: Path) -> None:
    end = ending(case, tmp_path / "run", given)
    assert end.broken == []
