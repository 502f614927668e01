"""Libraries of networks kept quiet while they load: what matters of what they say is checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module


@contextmanager
def quiet(*libraries: str) -> Iterator[None]:
    """Silence libraries, "transformers" or "diffusers"; then their logging is as it was."""
    with ExitStack() as restore:
        for name in libraries:
            logging = import_module(f"{name}.utils.logging")
            restore.callback(logging.set_verbosity, logging.get_verbosity())
            if logging.is_progress_bar_enabled():
                restore.callback(logging.enable_progress_bar)
            logging.set_verbosity_error()
            logging.disable_progress_bar()
        yield
