"""The first lines of what the keeper starts: it tries again and again, so what is wrong is a line.

The standard library alone: what doesn't import is such a fault, too.
"""

from __future__ import annotations

import logging
import traceback
from importlib import import_module

log = logging.getLogger(__name__)


def status_of(module: str) -> int:
    """The exit status of its `main`. The barrier: SystemExit and the like get out."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        status: int = import_module(module).main()
    except Exception as fault:  # noqa: BLE001 - a barrier
        log.error("a fault of ours: %s", in_a_line(fault))
        return 1
    return status


def in_a_line(fault: BaseException) -> str:
    """With the lines of code that led there, the innermost first; of a group its first."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    frames = reversed(traceback.extract_tb(fault.__traceback__))
    where = [f"{each.filename}:{each.lineno}" for each in frames if each.filename[0] != "<"]
    return f"{type(fault).__name__}: {' '.join(str(fault).split())} ({' < '.join(where)})"
