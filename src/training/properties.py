"""Properties of a module whose errors are not hidden."""

from typing import Any

from lightning import LightningModule


class OpenProperties(LightningModule):
    """Raises what a property raises. PyTorch takes its `AttributeError` for a name that is missing."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            own = getattr(type(self), name, None)
            if isinstance(own, property) and own.fget is not None:
                own.fget(self)  # raises it again
            raise
