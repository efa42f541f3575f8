"""Whether a change leaves every number as it was: `python -m benchmarks.fingerprints`.

Runs one of each kind of experiment through the command line and hashes what it ends in: the final weights, `census.csv`
and, after `test`, `landscape.csv`. The hashes are compared with those in `fingerprints.json`, bit for bit; `--write`
puts them there instead. Another processor or another release of torch rounds differently: on those, write the file from
the commit before the change first.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

FILE = Path(__file__).with_suffix(".json")
VARIANT = """
import torch
from src.model import ReLUOutputModel


class Leaky(ReLUOutputModel):
    def decode(self, h):
        return torch.nn.functional.leaky_relu(h @ self.W + self.b.unsqueeze(-2), 0.1)
"""
CENSUS = "{folder}/seeds_64/version_0"  # which the patching rates are of

# By name: the arguments of `fit`, and whether `test` follows.
RUNS: dict[str, tuple[list[str], bool]] = {
    "hexagon": (["--config=configs/hexagon.yaml"], True),
    "pentagon": (["--config=configs/pentagon.yaml"], True),
    "patching": (["--config=configs/patching.yaml"], True),
    "seeds_64": (["--config=configs/seeds.yaml", "--model.n_instances=64"], True),
    "basin_16": (["--config=configs/basin.yaml", "--model.start.size=16"], True),
    "patching_rates": (["--config=configs/patching_rates.yaml", f"--model.start.census={CENSUS}"], True),
    "population": (
        ["--config=configs/seeds.yaml", "--config=configs/data/population.yaml", "--model.n_instances=16"],
        True,
    ),
    "finite": (
        [
            "--config=configs/regimes.yaml",
            "--data.n_examples=30",
            "--model.n_instances=2",
            "--trainer.max_steps=2000",
        ],
        False,
    ),
    "independent": (
        ["--config=configs/hexagon.yaml", "--model.n_instances=3", "--data.stream=independent"],
        False,
    ),
    "variant": (
        [
            "--config=configs/hexagon.yaml",
            "--model=fingerprint_variant.Leaky",
            "--model.n_instances=2",
            "--trainer.max_steps=1000",
        ],
        True,
    ),
}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def machine() -> dict[str, str]:
    """What the last bits may depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return {"processor": ", ".join(sorted(names)) or platform.processor(), "torch": torch.__version__}


def command(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    run = [sys.executable, "-m", "src.cli", *arguments]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL, env=environment)


def fingerprints(name: str, folder: Path) -> dict[str, str]:
    """The hashes of one run, which goes into `<folder>/<name>/version_0`."""
    arguments, is_tested = RUNS[name]
    settings = [argument.format(folder=folder) for argument in arguments]
    place = [f"--trainer.logger.init_args.{key}={value}" for key, value in (("save_dir", folder), ("name", name))]
    command(folder, "fit", *settings, *place)
    run = folder / name / "version_0"
    checkpoint = run / "checkpoints" / "last.ckpt"
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    found = {key: sha(tensor.contiguous().numpy().tobytes()) for key, tensor in weights.items()}
    found["census.csv"] = sha((run / "census.csv").read_bytes())
    if is_tested:
        command(folder, "test", *settings, *place, f"--ckpt_path={checkpoint}")
        found["landscape.csv"] = sha((run / "landscape.csv").read_bytes())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {FILE.name} instead of comparing with it")
    options = parser.parse_args()
    known: dict[str, Any] = {"machine": machine(), "runs": {}}
    if FILE.exists():
        known = json.loads(FILE.read_text())
    if not options.write and known["machine"] != machine():
        print(f"{FILE.name} is from {known['machine']}, this is {machine()}: expect other bits.", file=sys.stderr)
    runs: dict[str, dict[str, str]] = {}
    n_changed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "fingerprint_variant.py").write_text(VARIANT)
        for name in RUNS:
            runs[name] = fingerprints(name, folder)
            for what, digest in runs[name].items():
                is_same = known["runs"].get(name, {}).get(what) == digest
                n_changed += not is_same
                print(f"{name:16} {what:14} {digest} {'' if is_same or options.write else 'CHANGED'}", flush=True)
    if options.write:
        FILE.write_text(json.dumps({"machine": machine(), "runs": runs}, indent=2) + "\n")
        return 0
    print(f"{n_changed} changed" if n_changed else "every bit as it was")
    return 1 if n_changed else 0


if __name__ == "__main__":
    sys.exit(main())
