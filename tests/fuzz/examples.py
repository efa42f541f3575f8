"""Command lines that once broke the promise of `tests.fuzz.promise`, one of a kind; it gives what is in braces."""

LONG = "x" * 300
SCHEDULER = "fit --model.lr_scheduler=torch.optim.lr_scheduler."
CYCLIC = f"{SCHEDULER}CyclicLR --model.lr_scheduler.base_lr=0.1 --model.lr_scheduler.max_lr=0.2"
ONE_CYCLE = f"{SCHEDULER}OneCycleLR --model.lr_scheduler.max_lr=0.1 --model.lr_scheduler.total_steps=9"
OPTIMIZER = "fit --model.optimizer=torch.optim."
SNAPSHOTS = "fit --trainer.callbacks+=callbacks.polygon_snapshots.PolygonSnapshots"
CALLBACK = "fit --trainer.callbacks+=lightning.pytorch.callbacks."
LOGGER = "fit --trainer.logger=lightning.pytorch.loggers."
CSV = f"{LOGGER}CSVLogger --trainer.logger.save_dir="
TENSORBOARD = f"{LOGGER}TensorBoardLogger --trainer.logger.save_dir="

# In the default run: one for each place that a setting has.
EXAMPLES = [
    "fit --model.n_hidden=null",
    "fit --model=src.model.ToyModel",
    "fit --data=lightning.LightningDataModule",
    "fit --data.batch_size=1000000000",
    "fit --model.start=src.starts.PatchingArms --model.start.census={huge_census}",
    f"{OPTIMIZER}SparseAdam",
    f"{SCHEDULER}StepLR --model.lr_scheduler.step_size=0",
    "fit --trainer.max_time=junk",
    "fit --trainer.devices=2 --trainer.strategy=ddp",
    "fit --trainer.logger.save_dir=/dev/null/x",
    f"{CALLBACK}ModelCheckpoint --trainer.callbacks.monitor=nope",
    "test --ckpt_path={truncated}",
    "predictions phases --n_features=2 --points=2 --low=1e-300",
]
NULLS = [
    "fit --model.n_instances=null",
    "fit --model.first_seed=null",
    "fit --data.n_features=null",
    "fit --data.feature_probability=null",
    "fit --data.batch_size=null",
    "fit --data.seed=null",
    "fit --data.block_size=null",
    "fit --data.validation_size=null",
    "fit --data=src.data.SparsePopulation --data.tolerance=null",
    "fit --model.start=src.starts.Basin --model.start.size=null",
    "fit --model.optimizer.lr=null",
    "fit --trainer.callbacks+=callbacks.last_checkpoint.LastCheckpoint --trainer.callbacks.every_n_steps=null",
]
MODELS = [
    "fit --model=src.variants.Leaky --model.slope=null",
    "fit --model=src.variants.Leaky --model.slope=1e300",
    "fit --model=src.training.stack.Stack",
    "fit --data=src.data.Features --data.distribution=Sparse --data.batch_size=4 --seed_everything=0",
    "fit --data=src.data.SparsePopulation --data.tolerance=1e-300",
    "fit --data.validation_size=1000000000000 --data.n_features=20",
    "fit --model.n_instances=1000000000000",
]
OPTIMIZERS = [
    "fit --model.optimizer=-1",
    "fit --model.optimizer=[]",
    f"{OPTIMIZER}Optimizer",
    f"{OPTIMIZER}SGD --model.optimizer.lr=-1",
    f"{OPTIMIZER}SGD --model.optimizer.nesterov=null",
    f"{OPTIMIZER}SGD --model.optimizer.differentiable=null",
    f"{OPTIMIZER}Adam --model.optimizer.betas=[2,2]",
    f"{OPTIMIZER}Adam --model.optimizer.eps=-1",
    f"{OPTIMIZER}Adam --model.optimizer.weight_decay=-1",
    f"{OPTIMIZER}Adam --model.optimizer.amsgrad=null",
    f"{OPTIMIZER}Adamax --model.optimizer.capturable=true",
    f"{OPTIMIZER}RMSprop --model.optimizer.lr=1e300",
    f"{OPTIMIZER}RAdam --model.optimizer.differentiable=true",
    f"{OPTIMIZER}ASGD --model.optimizer.alpha=1e300",
    f"{OPTIMIZER}ASGD --model.optimizer.t0=null",
    f"{OPTIMIZER}Rprop --model.optimizer.step_sizes=null",
    f"{OPTIMIZER}Adagrad --model.optimizer.maximize=null",
    f"{OPTIMIZER}Muon --model.optimizer.lr=null",
    f"{OPTIMIZER}LBFGS --model.optimizer.history_size=1000000000000",
    f"{OPTIMIZER}LBFGS --model.optimizer.max_iter=null",
    f"{OPTIMIZER}LBFGS --model.optimizer.lr=1e300",
]
SCHEDULERS = [
    "fit --model.lr_scheduler=-1",
    f"{SCHEDULER}LRScheduler",
    f"{SCHEDULER}ChainedScheduler --model.lr_scheduler.schedulers=[]",
    f"{SCHEDULER}ConstantLR --model.lr_scheduler.factor=2",
    f"{SCHEDULER}ConstantLR --model.lr_scheduler.factor=null",
    f"{SCHEDULER}CosineAnnealingLR --model.lr_scheduler.T_max=0",
    f"{SCHEDULER}CosineAnnealingLR --model.lr_scheduler.T_max=5 --model.lr_scheduler.eta_min=null",
    f"{SCHEDULER}CosineAnnealingWarmRestarts --model.lr_scheduler.T_0=0",
    f"{CYCLIC} --model.lr_scheduler.step_size_up=0",
    f"{SCHEDULER}LambdaLR --model.lr_scheduler.lr_lambda=3",
    f"{SCHEDULER}LambdaLR --model.lr_scheduler.lr_lambda=[]",
    f"{SCHEDULER}LinearLR --model.lr_scheduler.start_factor=0",
    f"{SCHEDULER}LinearLR --model.lr_scheduler.last_epoch=0",
    f"{SCHEDULER}MultiStepLR --model.lr_scheduler.milestones=[1] --model.lr_scheduler.gamma=null",
    f"{SCHEDULER}MultiplicativeLR --model.lr_scheduler.lr_lambda=time.time",
    f"{ONE_CYCLE} --model.lr_scheduler.div_factor=0",
    f"{SCHEDULER}PolynomialLR --model.lr_scheduler.power=-1",
    f"{SCHEDULER}PolynomialLR --model.lr_scheduler.power=null",
    f"{SCHEDULER}ReduceLROnPlateau --model.lr_scheduler.mode=null",
]
TRAINERS = [
    "fit --trainer.accelerator=tpu",
    "fit --trainer.devices=-1",
    "fit --trainer.devices=0",
    "fit --trainer.devices=2",
    "fit --trainer.devices=1000000000000",
    "fit --trainer.devices=",
    "fit --trainer.strategy=ddp_fork",
    "fit --trainer.strategy=fsdp",
    "fit --trainer.strategy=single_xla",
    "fit --trainer.num_nodes=0",
    "fit --trainer.num_nodes=2",
    "fit --trainer.precision=transformer-engine",
    "fit --trainer.precision=16",
    "fit --trainer.precision=bf16",
    "fit --trainer.val_check_interval=0",
    "fit --trainer.val_check_interval={}",
    "fit --trainer.val_check_interval=1e300",
    "fit --trainer.check_val_every_n_epoch=0",
    "fit --trainer.profiler=xla",
    "fit --trainer.barebones=true",
    "fit --trainer.limit_train_batches=junk",
    "fit --trainer.limit_train_batches=0",
    "fit --trainer.limit_train_batches=0.1",
    "fit --trainer.limit_train_batches=1e300",
    "fit --trainer.max_steps=null",
    "fit --trainer.max_epochs=0",
    "fit --trainer.max_time={}",
    "fit --trainer.max_time.a=1",
    "fit --trainer.overfit_batches=null",
    "fit --trainer.detect_anomaly=null",
    "fit --seed_everything=-1",
]
LOGGERS = [
    *(f"{LOGGER}{name}Logger" for name in ("Comet", "Lit", "MLFlow", "Neptune", "Wandb", "Dummy")),
    f"{CSV}/dev/null/x",
    f"{CSV}a\0b",
    f"{CSV}{LONG}",
    f"{TENSORBOARD}a\0b",
    f"{TENSORBOARD}runs --trainer.logger.name=a\0b",
    f"{TENSORBOARD}runs --trainer.logger.name={LONG}",
    f"{TENSORBOARD}runs --trainer.logger.version={LONG}",
    f"{TENSORBOARD}runs --trainer.logger.flush_secs=[]",
    f"{TENSORBOARD}runs --trainer.logger.flush_secs=null",
    f"{TENSORBOARD}runs --trainer.logger.max_queue=[]",
]
CALLBACKS = [
    "fit --trainer.callbacks+=callbacks.recorder.Recorder",
    f"{SNAPSHOTS} --trainer.callbacks.instances=[]",
    f"{SNAPSHOTS} --trainer.callbacks.n_snapshots=1000000000000",
    "fit --trainer.callbacks+=callbacks.trajectory.Trajectory --trainer.callbacks.instances=[]",
    f"{CALLBACK}BackboneFinetuning",
    f"{CALLBACK}BatchSizeFinder",
    f"{CALLBACK}BatchSizeFinder --trainer.callbacks.batch_arg_name=null",
    f"{CALLBACK}BatchSizeFinder --trainer.callbacks.init_val=-1",
    f"{CALLBACK}EarlyStopping --trainer.callbacks.monitor=",
    f"{CALLBACK}EarlyStopping --trainer.callbacks.monitor=val_loss --trainer.callbacks.min_delta=null",
    f"{CALLBACK}GradientAccumulationScheduler --trainer.callbacks.scheduling={{0: 1}}",
    f"{CALLBACK}LearningRateFinder",
    f"{CALLBACK}LearningRateFinder --trainer.callbacks.mode=null",
    f"{CALLBACK}ModelCheckpoint --trainer.callbacks.filename=a\0b",
    f"{CALLBACK}ModelCheckpoint --trainer.callbacks.filename=/dev/null/x",
    f"{CALLBACK}ModelPruning --trainer.callbacks.pruning_fn=l1_unstructured",
    f"{CALLBACK}RichProgressBar --trainer.callbacks.refresh_rate=null",
    f"{CALLBACK}RichProgressBar --trainer.callbacks.console_kwargs={{a: 1}}",
    f"{CALLBACK}RichProgressBar --trainer.callbacks.theme=null",
    f"{CALLBACK}StochasticWeightAveraging --trainer.callbacks.swa_lrs=[]",
    f"{CALLBACK}ThroughputMonitor --trainer.callbacks.batch_size_fn=3",
    f"{CALLBACK}Timer",
    f"{CALLBACK}TQDMProgressBar --trainer.callbacks.refresh_rate=null",
    f"{CALLBACK}WeightAveraging --trainer.callbacks.avg_fn=3",
]
OTHERS = [
    "test --ckpt_path={checkpoint} --trainer.callbacks+=callbacks.basin_map.BasinMap",
    "test --ckpt_path={checkpoint} --trainer.callbacks+=lightning.pytorch.callbacks.ThroughputMonitor",
    "fit --weights_only=3",
    "sweep --grid=model.n_hidden=[1,2] --trainer.logger=lightning.pytorch.loggers.logger.DummyLogger",
]
# In the slow run.
MORE = [*NULLS, *MODELS, *OPTIMIZERS, *SCHEDULERS, *TRAINERS, *LOGGERS, *CALLBACKS, *OTHERS]
# The whole configuration file.
FILES = [
    b"\x98",
    b"[" * 3000,
    b"a: &x [*x]\n",
    b"model:\n  init_args:\n",
    b"model: {class_path: null}\n",
    b"trainer: {callbacks: [{class_path: null}]}\n",
]
