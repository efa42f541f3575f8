"""The command line: `python -m src.cli fit --config configs/hexagon.yaml`.

Lightning's CLI over `ToyModel` and any data module. Callbacks, logger and trainer settings come from the configs;
`configs/defaults.yaml` is read first, then each `--config` in turn, then the command line's own arguments.
"""

import gc

_was_enabled = gc.isenabled()
gc.disable()  # what is imported here is never garbage, and looking for some would take a sixth of the time

from src import waiting

if __name__ == "__main__":
    waiting.begin("loading torch and Lightning")

import re
import sys
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml
from lightning import Callback, LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from rich.console import Console

from src import data, variants  # noqa: F401 - what is imported can be named by its bare name
from src.commands import ENDINGS, exit_with, quiet, status_after
from src.errors import ConfigError, essence, require, storage_sentence
from src.gate.nulls import refuse_nulls
from src.gate.rehearsal import refuse_unmade, refuse_unusable
from src.gate.sentences import in_a_sentence, made, release_warnings, warnings_held
from src.model import ToyModel
from src.runs.checkpoints import read_checkpoint
from src.runs.claim import own_folder
from src.runs.folder import flat_settings, read_settings, run_of_checkpoint, write_whole
from src.runs.moved import as_today, where_now
from src.runs.tensorboard_link import where_to_look

if _was_enabled:
    gc.enable()
waiting.end()

PARALLEL_FROM = 2**16  # entries of a step's x' from which a second thread pays
MAX_SEED = 2**32 - 1  # numpy's
# What `test` may have otherwise than the run: it ends in the same weights, and the same distribution.
ONLY_TRAINING = (
    *(f"model.init_args.{name}" for name in ("certify", "optimizer", "lr_scheduler")),
    *(f"data.init_args.{name}" for name in ("batch_size", "block_size", "stream")),
)
yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, value: dumper.represent_data(value.value))
PYTHONS_OWN = "'(NoneType|int|float|bool|str|list|dict|Namespace)' (object |is not iterable)"
DEFAULTS = Path(__file__).parent.parent / "configs" / "defaults.yaml"


class Parser(LightningArgumentParser):
    """Refuses bad arguments in one sentence."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        sentence = where_now(message) or essence(message)
        if re.search(PYTHONS_OWN, sentence):  # of a list, say, where names should be
            sentence = f"{sentence.partition(':')[0]} is not understood; it must be a class_path with init_args."
        if path := re.fullmatch(r"(\S+): Expected a path but (.*) either not accessible or invalid", sentence):
            sentence = f"{path[1]} is {path[2]}; it must be of its type, or a class that can be imported."
        if sentence.endswith(":"):  # what it quotes is an empty text
            sentence += " (empty)"
        raise ConfigError(sentence) from ex

    def save(self, cfg: Any, path: Any, *arguments: Any, skip_none: bool = True, **options: Any) -> None:
        """Write a configuration whole. It was parsed and so is valid: to look again would take a tenth of a start."""
        write_whole(Path(path), self.dump(cfg, skip_none=skip_none, skip_validation=True).encode())


class ToyCLI(LightningCLI):
    """`fit`, `validate` and `test`, with the number of features given once, to the data."""

    def _add_instantiators(self) -> None:
        """Not Lightning's, which dump the whole configuration for the checkpoint; `src.training.resuming` fills it."""
        for kind in (ToyModel, LightningDataModule, Callback):
            self.parser.add_instantiator(made, kind, subclasses=True)

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        arguments = LightningCLI.subcommands()
        return {name: arguments[name] for name in ("fit", "validate", "test")}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("data.n_features", "model.init_args.n_features", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        try:
            super().parse_arguments(parser, args)
        except OSError as error:  # a configuration that cannot be read
            raise ConfigError(f"--config: {storage_sentence(error)}; it must be a file that can be read.") from None

    def _set_seed(self) -> None:
        seed = self.config[str(self.subcommand)].get("seed_everything")
        require(seed is None or 0 <= seed <= MAX_SEED, "seed_everything", seed, f"from 0 to {MAX_SEED}")
        super()._set_seed()

    def _parse_ckpt_path(self) -> None:
        path = self.config[str(self.config.subcommand)].ckpt_path if self.config.get("subcommand") else None
        if path is None and self.config.get("subcommand") == "test":
            raise ConfigError("ckpt_path is None; it must be the checkpoint that `test` is to certify.")
        if path is not None:  # Lightning would put the checkpoint's arguments in place of the command line's
            read_checkpoint(Path(path))

    def instantiate_classes(self) -> None:
        self._return_to_the_run()
        config = self.config.get(str(self.subcommand))
        refuse_nulls(config)
        refuse_unmade(config, str(self.subcommand))
        with in_a_sentence():
            super().instantiate_classes()

    def _return_to_the_run(self) -> None:
        """What `test` finds out goes into the run folder that its checkpoint is from, which has its configuration."""
        config = self.config.get("test")
        folder = run_of_checkpoint(Path(config.ckpt_path)) if config is not None else None
        if config is None or folder is None:
            return
        self._refuse_another_configuration(folder)
        self.save_config_callback = None
        logger = config.trainer.logger
        if str(getattr(logger, "class_path", "")).endswith("TensorBoardLogger"):
            place = {"save_dir": str(folder.parent.parent), "name": folder.parent.name, "version": folder.name}
            for name, value in place.items():
                logger.init_args[name] = value
        else:
            config.trainer.default_root_dir = str(folder)

    def _refuse_another_configuration(self, folder: Path) -> None:
        """Raise a `ConfigError` if the run in this folder had other models or other data."""
        old = as_today(read_settings(folder))
        new = flat_settings(yaml.safe_load(self._parser("test").dump(self.config["test"], skip_none=False)))
        for key in sorted(old.keys() & new.keys()):
            if key.startswith(("model.", "data.")) and not key.startswith(ONLY_TRAINING):
                require(old[key] == new[key], key, new[key], f"{old[key]}, as in the run of the checkpoint")

    def _run_subcommand(self, subcommand: str) -> None:
        with in_a_sentence():
            refuse_unusable(self.trainer, self.model, self.datamodule)
        with own_folder(self.trainer, is_new=subcommand != "test"), in_a_sentence():
            super()._run_subcommand(subcommand)

    def before_fit(self) -> None:
        waiting.clear()
        release_warnings()
        # Nothing loaded until now is garbage: without it, the collector's full passes cost a tenth of a short run.
        gc.freeze()
        # Torch's threads gain nothing on small tensors, and lose a hundredfold where another process holds a core.
        has_threads = self.model.objective.has_threads  # which builds the C++ part, where it has to be built
        entries = self.model.n_instances * self.model.n_features * getattr(self.datamodule, "batch_size", 1)
        if entries < PARALLEL_FROM or has_threads:
            torch.set_num_threads(1)

    def before_validate(self) -> None:
        waiting.clear()
        release_warnings()

    before_test = before_validate

    def after_fit(self) -> None:
        gc.unfreeze()
        for line in where_to_look(self.trainer):
            Console().print(line, soft_wrap=True, highlight=False)


def command_line(args: list[str], cli: type[ToyCLI] = ToyCLI) -> ToyCLI:
    """Parse the arguments and run their subcommand.

    Raises:
        ConfigError: if a setting cannot be used.
        NonFiniteError: if a model diverges.
    """
    with warnings_held(), in_a_sentence():
        return cli(
            ToyModel,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=False,
            save_config_kwargs={"overwrite": True},
            parser_class=Parser,
            parser_kwargs={
                "prog": "python -m src.cli",
                **{name: {"default_config_files": [str(DEFAULTS)]} for name in ToyCLI.subcommands()},
            },
            args=args,
        )


def main(args: list[str] | None = None, cli: type[ToyCLI] = ToyCLI) -> int:
    """Run the command line; return its exit status: see `src.commands.status_after`."""
    quiet()
    asked = sys.argv[1:] if args is None else args
    if not any(word.startswith(("--help", "-h", "--print_config")) for word in asked):
        waiting.say("reading the configuration")
    try:
        command_line(asked, cli)
    except ENDINGS as error:
        waiting.clear()
        return status_after(error)
    finally:
        waiting.clear()
    return 0


if __name__ == "__main__":
    exit_with(main())
