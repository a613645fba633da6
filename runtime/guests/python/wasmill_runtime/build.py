"""What is done at build time. The snapshot that componentize-py makes of the interpreter has all of it done.

`prepare` puts every stand-in in its place, before what stands on them is imported; `freeze` comes last.
"""

import gc
import importlib
import sys
import zipimport

# What handlers and their libraries use most: loaded in the snapshot, so that an import costs nothing. The rest of the
# standard library is kept as bytecode.
_LOADED = """
abc argparse ast asyncio base64 bisect binascii calendar codecs collections.abc concurrent.futures.thread configparser contextlib
contextvars copy copyreg csv dataclasses datetime decimal difflib dis email.charset email.encoders email.generator email.headerregistry
email.message email.mime.multipart email.mime.text email.parser email.policy email.utils encodings.ascii encodings.cp1252
encodings.idna encodings.latin_1 encodings.utf_8_sig enum errno fnmatch fractions functools gc getpass glob gzip hashlib heapq hmac
html html.entities html.parser http.client http.cookiejar http.cookies importlib.metadata importlib.resources importlib.util inspect
io ipaddress itertools json json.tool keyword linecache locale logging logging.config logging.handlers math mimetypes
multiprocessing multiprocessing.context multiprocessing.process netrc numbers operator os pathlib pickle pkgutil platform pprint queue
quopri random re sched secrets select selectors shlex shutil signal socket socketserver stat statistics string string.templatelib
stringprep struct subprocess tempfile textwrap threading time timeit token tokenize traceback types typing unicodedata unittest.mock
urllib.error urllib.parse urllib.request urllib.response urllib.robotparser uuid warnings weakref xml.dom.minidom
xml.etree.ElementTree xml.sax zipfile zipimport zlib zoneinfo
""".split()


# Generated from the interfaces, for `outgoing.py`.
_BINDINGS = ("error", "monotonic_clock", "outgoing_handler", "poll", "streams", "wasi_http_types")


def prepare():
    # Folders of the build are other people's.
    sys.dont_write_bytecode = True
    # First, as the memory it leaves free is used again by what is loaded below; free memory is part of the snapshot.
    from . import stdlib, timezones

    stdlib.keep()
    timezones.keep()
    _take_the_place_of_sockets()
    for name in _LOADED:
        _import(name)
    for name in _BINDINGS:
        importlib.import_module(f"wit_world.imports.{name}")
    from . import absent, invoke, threadless  # noqa: F401, invoke is loaded for the entry

    threadless.install()
    timezones.install()
    stdlib.install()
    # A folder is the rule and an archive the exception: asked in this order, `/app` costs fewer file calls.
    sys.path_hooks.sort(key=lambda hook: hook is zipimport.zipimporter)
    # Last on sys.meta_path: asked when nobody has a module.
    absent.install()


def _take_the_place_of_sockets():
    """Before http.client, asyncio and urllib, which ask for `ssl` and `socket` while they are imported."""
    from . import tls

    tls.__name__ = "ssl"
    for kind in vars(tls).values():
        if isinstance(kind, type) and kind.__module__ == __package__ + ".tls":
            kind.__module__ = "ssl"
    sys.modules["ssl"] = tls
    from . import securesocket, sockets  # noqa: F401

    sockets.install()


def _import(name):
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(f"not in this build of CPython: {error}", file=sys.stderr)


def freeze():
    """Takes the snapshot's objects out of every later collection, which would only touch their pages."""
    # Lists of folders that will not be there.
    sys.path_importer_cache.clear()
    gc.collect()
    gc.freeze()
