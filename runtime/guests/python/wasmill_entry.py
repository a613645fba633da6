"""The generic runtime: `componentize-py … componentize -p runtime/guests/python wasmill_entry`.

One component for every function: the host gives the function's folder as `/app`, its name in `_HANDLER`, and calls
`handle`. See `wasmill_runtime`.
"""

from wasmill_runtime import build

build.prepare()

from componentize_py_types import Err  # noqa: E402
from wasmill_runtime import invoke  # noqa: E402


class WitWorld:
    """The exports of world `python-handler`."""

    def handle(self, event, ctx):
        succeeded, text = invoke.handle(event, ctx)
        if not succeeded:
            raise Err(text)
        return text


build.freeze()
