"""The whole standard library without its files: compiled at build time, kept compressed in the snapshot's memory.

After the snapshot there is no folder of the standard library any more, so a late import (a handler's `import csv`, or the
standard library's own inside a function) would fail. What the build imported anyway is not kept a second time.

Absent: what needs a screen, a shell, a C library that is not there (`absent.py` says so), and the tests.
"""

import importlib.machinery
import importlib.util
import json
import marshal
import os
import sys
import zlib

_LEFT_OUT = {
    "__phello__", "_ios_support", "antigravity", "bz2", "ctypes", "curses", "ensurepip", "idlelib", "lzma", "pydoc_data", "sqlite3",
    "test", "this", "tkinter", "turtle", "turtledemo", "venv",
}  # fmt: skip

_modules = {}
"""Name to (is a package, the file it had, compressed bytecode)."""


def folder():
    """`os.__file__` is frozen and unreal in this build of CPython; that of `json` is right."""
    return os.path.dirname(os.path.dirname(json.__file__))


def keep():
    """Compiles all of it. Build time only."""
    root = folder()
    for path, is_package, name in _sources(root):
        with open(path, "rb") as file:
            source = file.read()
        try:
            code = compile(source, path, "exec", dont_inherit=True)
        except SyntaxError:  # templates and the like
            continue
        _modules[name] = (is_package, path, zlib.compress(marshal.dumps(code), 9))

def install():
    """Forgets what is loaded by now, and stands ready for the rest."""
    for name in sys.modules.keys() & _modules.keys():
        del _modules[name]
    sys.meta_path.append(Finder)


def _sources(root, package=""):
    for entry in sorted(os.listdir(root)):
        path = f"{root}/{entry}"
        stem = entry.removesuffix(".py")
        if not package and stem in _LEFT_OUT or not stem.isidentifier():
            continue
        if stem != entry:
            if stem != "__init__":
                yield path, False, package + stem
        elif entry not in ("test", "tests") and os.path.isfile(f"{path}/__init__.py"):
            yield f"{path}/__init__.py", True, package + entry
            yield from _sources(path, package + entry + ".")


class Finder:
    """Stands behind the finder of files, as the standard library's folder stands behind `/app` on `sys.path`."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        module = _modules.get(name)
        if module is None:
            return None
        is_package, origin, _code = module
        spec = importlib.machinery.ModuleSpec(name, cls, origin=origin, is_package=is_package)
        spec.has_location = True  # gives the module its __file__
        return spec

    @staticmethod
    def create_module(spec):
        return None

    @classmethod
    def exec_module(cls, module):
        exec(cls.get_code(module.__spec__.name), vars(module))

    @staticmethod
    def get_code(name):
        return marshal.loads(zlib.decompress(_modules[name][2]))

    @staticmethod
    def get_source(name):
        return None

    @staticmethod
    def is_package(name):
        return _modules[name][0]
