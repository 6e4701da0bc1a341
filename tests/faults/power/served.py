"""Runs a function of ours in this process, which the layer is loaded into: `python -m tests.faults.power.served MODULE:FUNCTION`.

Names to the layer the line of our source that asks for each sync.
"""

import ctypes
import importlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.faults.power.sites import is_way, shown

if TYPE_CHECKING:
    from types import FrameType


def name_syncs() -> None:
    layer = ctypes.CDLL(None)
    os.fsync = _named(os.fsync, layer)
    os.fdatasync = _named(os.fdatasync, layer)


def _named(real: Callable[[int], None], layer: ctypes.CDLL) -> Callable[[int], None]:
    def sync(descriptor: int) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and is_way(frame.f_code.co_filename, frame.f_code.co_name):
            frame = frame.f_back
        assert frame is not None
        layer.power_site(shown(frame.f_code.co_filename, frame.f_lineno).encode())
        real(descriptor)

    return sync


def main() -> int:
    name_syncs()
    module, _, function = sys.argv.pop(1).partition(":")
    if often := os.environ.get("POWER_CHECKPOINT"):  # so that a short load meets checkpoints
        sqlite = importlib.import_module("store.sqlite")
        sqlite._CHECKPOINT_EVERY = int(often)
    return int(getattr(importlib.import_module(module), function)() or 0)


if __name__ == "__main__":
    sys.exit(main())
