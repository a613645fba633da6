"""Imports an app's packages at build time as if its folder were `/app` already.

A module remembers where it came from (`__file__`, `__path__`, the file names in its code), and the build has the app's
folder elsewhere. So while the packages are imported, file calls for `/app` are led to where the folder is.
"""

import ast
import builtins
import importlib
import io
import os
import posix
import sys

from . import compiled
from .first import APP


def app_folder(path):
    """The folder among the build's that is an app: has Python files, and is not the runtime, its bindings or its data."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder in path:
        known = folder in ("/world", "/bundled", "/python", own) or folder.startswith("/python/")
        if not known and os.path.isdir(folder) and not os.path.isfile(f"{folder}/componentize_py_types.py"):
            if any(entry.endswith(".py") or entry.endswith(".dist-info") for entry in os.listdir(folder)) and not _is_tzdata(folder):
                return folder
    raise SystemExit("no app among the folders given with -p")


def _is_tzdata(folder):
    """The runtime's own time zones lie alone in their folder."""
    return all(entry.startswith("tzdata") or entry.startswith("__") or entry == "bin" for entry in os.listdir(folder))


def run(folder):
    sources = own_sources(folder)
    for path, source in sources.items():
        compiled.keep(APP + path.removeprefix(folder), source)
    compiled.install()
    names = wanted(folder, sources.values())
    before, sys.path[:] = sys.path[:], [APP]
    with Redirected(folder):
        for name in names:
            _import(name)
    sys.path[:] = before
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()


def _import(name):
    try:
        importlib.import_module(name)
    except BaseException as error:  # a package may do anything while it is imported, exit too
        print(f"{name} is left to the first invocation: {type(error).__name__}: {error}", file=sys.stderr)


def own_sources(folder):
    """The app's own files with their texts, without what pip installed beside them."""
    packages = installed(folder)
    sources = {}
    for parent, folders, files in os.walk(folder):
        if parent == folder:
            folders[:] = [name for name in folders if name not in packages and not name.endswith(".dist-info")]
            files = [name for name in files if name.removesuffix(".py") not in packages]
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            if name.endswith(".py"):
                with open(f"{parent}/{name}", "rb") as file:
                    sources[f"{parent}/{name}"] = file.read()
    return sources


def wanted(folder, sources):
    """The modules of packages that the texts import, in order."""
    packages = installed(folder)
    names = {}
    for source in sources:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue  # the first invocation will say it, with the line
        for name in imported(tree):
            if name.partition(".")[0] in packages and _exists(folder, name):
                names[name] = True
    return list(names)


def imported(tree):
    """Every absolute import; what `from a import b` names may be a module too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def installed(folder):
    """Top-level names of what pip installed, by its records."""
    names = set()
    for entry in os.listdir(folder):
        record = f"{folder}/{entry}/RECORD"
        if not entry.endswith(".dist-info") or not os.path.isfile(record):
            continue
        with open(record, encoding="utf-8") as file:
            for line in file:
                top = line.partition(",")[0].split("/")[0]
                if not top.endswith(".dist-info") and top not in ("..", "bin", "__pycache__"):
                    names.add(top.removesuffix(".py"))
    return names


def _exists(folder, name):
    path = f"{folder}/{name.replace('.', '/')}"
    return os.path.isfile(f"{path}.py") or os.path.isdir(path)


class Redirected:
    """Leads calls for `/app/…` to the folder of the build, in the few functions that the import system and packages use."""

    _OF_POSIX = ("stat", "lstat", "listdir", "scandir", "open", "access", "readlink")

    def __init__(self, folder):
        self._folder = folder

    def _led(self, function):
        def call(path=".", *arguments, **options):
            name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else path
            # A module may have kept this in place of `open`: it must be that once the build is over.
            if self._active and isinstance(name, str) and (name == APP or name.startswith(APP + "/")):
                path = self._folder + name.removeprefix(APP)
            return function(path, *arguments, **options)

        return call

    def __enter__(self):
        self._before, self._active = [], True
        places = [(module, name) for name in self._OF_POSIX for module in (posix, os)]
        places += [(builtins, "open"), (io, "open"), (io, "open_code"), (sys.modules["_io"], "open"), (sys.modules["_io"], "open_code")]
        for module, name in places:
            function = getattr(module, name, None)
            if function is not None:
                self._before.append((module, name, function))
                setattr(module, name, self._led(function))
        for name in ("isfile", "isdir", "exists", "lexists"):
            function = getattr(os.path, name)
            self._before.append((os.path, name, function))
            setattr(os.path, name, self._led(function))
        return self

    def __exit__(self, *_exception):
        self._active = False
        for module, name, function in reversed(self._before):
            setattr(module, name, function)
