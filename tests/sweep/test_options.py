"""What a sweep is asked for is refused in one sentence where it cannot be, before anything runs."""

from pathlib import Path

import pytest

from tests.running import ROOT, slow
from tests.sweep.sweeping import Engine, run

TWICE = f"{ROOT}/configs/seeds.yaml,{ROOT}/tests/../configs/seeds.yaml"  # one name, two paths


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--grid=data.n_featurez=[4]"], "n_featurez"),
        (["--grid=data.n_features=[]"], "--grid is data.n_features=[]; it must be key=[value,...] with at least"),
        (["--grid=data.n_features=4"], "--grid is data.n_features=4; it must be key=[value,...] with at least"),
        (["--grid=data.n_features"], "--grid is data.n_features; it must be key=[value,...] with at least one value."),
        (["--grid=data.n_features=[4"], "--grid is data.n_features=[4; it must be"),
        (["--grid=[4]"], "--grid is [4]; it must be key=[value,...] with at least one value."),
        (["--grid=data.n_features=[4,4]"], "it must be a list of different values."),
        (["--grid=data.seed=[1]", "--grid=data.seed=[2]"], "it must be the only one for data.seed."),
        ([], "--grid is missing; it must be given, or --shards, or both."),
        (["--shards=0"], "--shards is 0; it must be at least 1."),
        (["--shards=6"], "--shards is 6; it must be from 1 to 5, the number of seeds."),
        (["--shards=two"], "argument --shards: invalid int value: 'two'"),
        (["--shards=2", "--jobs=0"], "--jobs is 0; it must be at least 1."),
        (["--grid=data.n_features=[4]", "--print_config"], "--print_config is given; it must be left to"),
        (["--shards=2", "--engine=cloud"], "argument --engine: invalid choice: 'cloud'"),
        (["--shards=2", "--address=auto"], "--address is auto; it must be left out, or --engine ray given."),
        (["--shards=2", "--submit"], "--submit is given; it must be left out, or --engine slurm given."),
        (["--shards=2", "--cpus-per-shard=2"], "it must be left out, or --engine ray or --engine slurm given."),
        (["--shards=2", "--engine=slurm", "--cpus-per-shard=0.5"], "is 0.5; it must be a whole number for SLURM."),
        (["--shards=2", "--engine=ray", "--cpus-per-shard=0"], "--cpus-per-shard is 0.0; it must be more than 0."),
        (["--shards=2", "--engine=ray", "--gpus-per-shard=-1"], "--gpus-per-shard is -1.0; it must be at least 0."),
        (["--shards=2", "--engine=ray", "--max-retries=-1"], "--max-retries is -1; it must be at least 0."),
        (["--shards=2", "--engine=slurm", "--sbatch=--time"], "each with its `=`."),
        (["--shards=2", "--engine=slurm", "--sbatch='--time"], "it must be options as in a shell"),
        (
            ["--shards=2", "--engine=slurm", "--sbatch=--array=1"],
            "it must be another: --array is the script's own.",
        ),
        (["--shards=2", "--engine=slurm", "--sbatch='--comment=a\nb'"], "it must be on one line."),
        (
            ["--shards=2", "--engine=slurm", "--submit", "--merge"],
            "--submit is given; it must be left out where",
        ),
        (["--shards=2", "--engine=ray", "--cpus-per-shard=inf"], "--cpus-per-shard is inf; it must be a number."),
        (["--shards=2", "--engine=ray", "--cpus-per-shard=1e-5"], "it must be a number of at most four decimals."),
        (["--shards=2", "--engine=ray", "--gpus-per-shard=1.5"], "it must be a whole number, or a part of one GPU."),
        (["--shards=2", "--merge", "--dry-run"], "--dry-run is given; it must be left out where --merge is given."),
        slow(["--grid=model.optimizer.init_args.lrr=[4]"], "lrr"),
        slow(["--grid=nonsense=[1]"], "nonsense"),
        slow(["--grid=data.feature_probability=[0.1,2]"], "data.feature_probability is 2.0; it must be in (0, 1]."),
        slow(["--grid=model.n_instances=[0]"], "model.n_instances is 0; it must be at least 1."),
        slow(["--grid=model.optimizer.init_args.lr=[-1]"], "model.optimizer is refused by torch"),
        slow(["--grid=config=[no.yaml]"], "no.yaml"),
        slow([f"--grid=config=[{TWICE}]"], "whose values differ in name."),
        slow(["--grid=data.n_features=[4]", "--out=/dev/null/x"], "--out is /dev/null/x; it must be a folder that can"),
        slow(["--grid=data.n_features=[4]", "--out=a\0b"], r"--out is 'a\x00b'; it must be a folder that can be made"),
        slow(["--grid=trainer.max_steps=[0]"], "trainer.max_steps is 0; it must be at least 1."),
        slow(["--grid=model.optimizer=[torch.optim.LBFGS]"], "model.optimizer"),
        slow(["--shards=2", "--trainer.logger=false"], "trainer.logger is False"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_bad_sweep_is_refused_before_anything_runs(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Engine()
    assert run(tmp_path / "sweep", *arguments, engine=engine) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert engine.ran == []
    assert not (tmp_path / "sweep").exists()
