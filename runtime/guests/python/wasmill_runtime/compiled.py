"""The app's own modules, compiled at build time and run at the first invocation.

The folder that the host gives as `/app` may have been edited since the build. So a file is read all the same, and
compiled again if it is not the text that was compiled.
"""

import importlib.machinery
import importlib.util
import sys

_kept = {}
"""Path to (hash of the source, code)."""


def keep(path, source):
    """Build time only. `path` is the one that the file will have; a file with mistakes is left to the import."""
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return
    _kept[path] = (importlib.util.source_hash(source), code)


class Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        source_hash, code = _kept.get(self.path, (None, None))
        if code is not None and importlib.util.source_hash(self.get_data(self.path)) == source_hash:
            return code
        return super().get_code(fullname)


def install():
    """Takes the place of the hook that finds files."""
    loaders = (Loader, importlib.machinery.SOURCE_SUFFIXES), (importlib.machinery.SourcelessFileLoader, importlib.machinery.BYTECODE_SUFFIXES)
    ours = importlib.machinery.FileFinder.path_hook(*loaders)
    sys.path_hooks[:] = [ours if hook.__name__ == "path_hook_for_FileFinder" else hook for hook in sys.path_hooks]
