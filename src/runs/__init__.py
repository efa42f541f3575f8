"""The run folder and TensorBoard's files, written and read in one place."""
