"""What patched columns did, arm by arm, and whether a hexagon donor does better than its controls."""

from rich.box import SIMPLE
from rich.table import Table

from src.geometry.polygons import Polygons
from src.results.rates import Difference, paired_difference, rate
from src.starts.patching import CONTROLS, Patch

SIGNIFICANCE = 0.05  # over all comparisons together (Bonferroni)
IDENTITY_HOLDS = 0.99  # share of recipients that must end as in the census for a verdict
SAME, ANOTHER = "pentagon, same left out", "pentagon, another left out"


def by_arm(patches: list[Patch], polygons: Polygons) -> dict[str, list[str]]:
    """Each recipient's outcome, in the same order in every arm; pentagons by whether the same feature is left out."""
    outcomes: dict[str, list[str]] = {}
    for patch, name, left_out in zip(patches, polygons.names, polygons.unlearned, strict=True):
        outcome = (SAME if left_out == [patch.column] else ANOTHER) if name == "pentagon" else name
        outcomes.setdefault(patch.arm, []).append(outcome)
    return outcomes


def arms_table(outcomes: dict[str, list[str]]) -> Table:
    n = len(next(iter(outcomes.values())))
    table = Table(title=f"{n:,} pentagon seeds, their unlearned column patched", box=SIMPLE, pad_edge=False)
    for heading in ("arm", "hexagon (95 % interval)", "pentagon: same out", "another out", "other"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for arm, names in outcomes.items():
        same, another, hexagon = (names.count(outcome) for outcome in (SAME, ANOTHER, "hexagon"))
        cells = (
            str(rate(hexagon, n)),
            f"{same / n:.1%}",
            f"{another / n:.1%}",
            f"{(n - same - another - hexagon) / n:.1%}",
        )
        table.add_row(arm, *cells)
    return table


def verdicts(outcomes: dict[str, list[str]]) -> list[str]:
    """A sentence on the identity arm, and one for each control of the hexagon arm.

    There is no verdict where the identity arm shows that the recipients do not train as they did in the census.
    """
    sentences = []
    if "identity" in outcomes:
        n, kept = len(outcomes["identity"]), outcomes["identity"].count(SAME)
        sentences.append(f"identity: {kept:,} of {n:,} outcomes are as in the census.")
        if kept < IDENTITY_HOLDS * n:
            return [*sentences, "No verdict: the census must have been trained with the same settings, steps and data."]
    controls = [control for control in CONTROLS if control in outcomes] if "hexagon" in outcomes else []
    for control in controls:
        difference = compare(outcomes["hexagon"], outcomes[control])
        verdict = "is not shown to differ from"
        if difference.p_value * len(controls) < SIGNIFICANCE:
            verdict = "does better than" if difference.value > 0 else "does worse than"
        sentences.append(f"A hexagon donor {verdict} the control '{control}': {difference}.")
    return sentences


def compare(first: list[str], second: list[str]) -> Difference:
    """How much oftener the first arm ends in a hexagon than the second."""
    return paired_difference([name == "hexagon" for name in first], [name == "hexagon" for name in second])
