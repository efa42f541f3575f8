"""Between a configuration and the first file of its run: what cannot be used is refused here, in one sentence."""
