"""One app's runtime: the generic one, with the packages beside the handler imported into the snapshot.

    componentize-py -d WIT -w python-handler componentize -p GUEST -p TZDATA -p APP wasmill_snapshot -o APP.wasm

`WIT`, `GUEST` (these sources) and `TZDATA` (a folder with the package `tzdata` alone) are as `cargo xtask runtimes` makes
them: `wit`, `guest` and `zones` in `runtime-python-build` of the target folder. `APP` is the function's folder, with the
packages that `pip install --target APP` put there; the host gives the same folder as `/app` again.

What the app's own files import from those packages, in functions too, is imported at build time, so that a cold call
need not read and compile it. The app's own modules are only compiled: what they read at module level (the environment,
the time, randomness) belongs to the sandbox they run in. A package that reads the environment while it is imported sees
that of the build, which is empty, and its random generators start alike in every sandbox.

A package that cannot be imported at build time is left to the first invocation, and said on stderr.
"""

import sys

from wasmill_runtime import build

build.prepare()

from wasmill_runtime import preload  # noqa: E402

preload.run(preload.app_folder(sys.path))

from wasmill_entry import WitWorld  # noqa: E402, F401, it freezes what is there by now
