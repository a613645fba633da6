"""What happens once per sandbox, at its first invocation: all that a snapshot must not freeze."""

import os
import random
import sys

from . import logs

APP = "/app"
"""The function's folder, read-only."""

COMPILED = "/pycache"
"""A folder for bytecode, if the host gives one: the next sandbox need not compile the app again."""

_done = False


def prepare():
    """Called again if the first invocation failed, and does nothing then."""
    global _done
    if _done:
        return
    # The snapshot was made with one state for all.
    random.seed()
    # Folders of the build are gone; the app comes first, as on Lambda.
    # Some look at the program's name; the host gives none.
    sys.argv = sys.argv or ["bootstrap"]
    root = os.environ.get("LAMBDA_TASK_ROOT", APP)
    sys.path[:] = [root]
    if os.path.isdir(root):
        os.chdir(root)
    if os.path.isdir(COMPILED):
        sys.pycache_prefix = COMPILED
        sys.dont_write_bytecode = False
    else:
        # `/app` is read-only: each attempt would be a wasted call.
        sys.dont_write_bytecode = True
    logs.set_up()
    _done = True
