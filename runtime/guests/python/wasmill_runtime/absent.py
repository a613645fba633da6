"""What cannot work in the sandbox fails with one line that names it and says why."""

import errno
import importlib.machinery
import os
import sys

_WHY = {
    "bz2": "the sandbox's Python is built without libbz2; zlib and gzip work",
    "ctypes": "the sandbox has no native libraries to call",
    "curses": "the sandbox has no terminal",
    "fcntl": "the sandbox has no POSIX file control",
    "grp": "the sandbox has no users and groups",
    "lzma": "the sandbox's Python is built without liblzma; zlib and gzip work",
    "mmap": "the sandbox cannot map files",
    "pwd": "the sandbox has no users and groups",
    "readline": "the sandbox has no terminal",
    "resource": "the sandbox's limits are the host's",
    "sqlite3": "the sandbox's Python is built without SQLite; keep state in a service that is reached over HTTP",
    "termios": "the sandbox has no terminal",
    "tkinter": "the sandbox has no screen",
    "turtle": "the sandbox has no screen",
    "zstd": "the sandbox's Python is built without libzstd; zlib and gzip work",
}
_WHY |= {f"_{name}": why for name, why in _WHY.items()}


class Finder:
    """Stands last: it is asked when nobody has the module."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        # `importlib.util.find_spec` asks whether a module is there; only an import is told why it is not.
        if sys._getframe(2).f_code.co_name != "_find_and_load_unlocked":
            return None
        why = _WHY.get(name) or _native(name, path)
        if why is None:
            return None
        raise ModuleNotFoundError(f"No module named '{name}': {why}", name=name)


def _native(name, path):
    """Packages with compiled parts install well with pip, and lack just these parts here."""
    tail = name.rpartition(".")[2]
    for folder in sys.path if path is None else path:
        try:
            files = os.listdir(folder)
        except OSError:
            continue
        for file in files:
            if file.startswith(tail + ".") and file.endswith((".so", ".pyd")):
                return f"{folder}/{file} is machine code for another system; the sandbox runs packages in pure Python"
    return None


def no_process(*_arguments, **_options):
    raise OSError(errno.ENOSYS, "the sandbox cannot start processes")


def no_thread_pool(*_arguments, **_options):
    raise OSError(errno.ENOSYS, "the sandbox has one thread; a concurrent.futures.ThreadPoolExecutor works, its tasks one after the other")


_OF_MULTIPROCESSING = """
Array Barrier BoundedSemaphore Condition Event JoinableQueue Lock Manager Pipe Pool Queue RLock RawArray RawValue Semaphore
SimpleQueue Value
""".split()


def install():
    """Build time. What is imported here is patched; what is not there at all is left to the finder."""
    import multiprocessing.context
    import multiprocessing.pool
    import multiprocessing.process
    import subprocess

    sys.meta_path.append(Finder)
    multiprocessing.process.BaseProcess.start = no_process
    multiprocessing.pool.ThreadPool.__init__ = no_thread_pool
    multiprocessing.pool.ThreadPool.__del__ = lambda self: None
    for name in _OF_MULTIPROCESSING:
        setattr(multiprocessing.context.BaseContext, name, no_process)
        setattr(multiprocessing, name, no_process)
    subprocess.Popen.__init__ = no_process
    subprocess.Popen.__del__ = lambda self: None
    for name in ("system", "popen"):  # the others are asked for with hasattr
        setattr(os, name, no_process)
