"""What is done at build time. The snapshot that componentize-py makes of the interpreter has all of it done.

`prepare` puts every stand-in in its place, before what stands on them is imported; `freeze` comes last.
"""

import gc
import importlib
import sys

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


def prepare():
    from . import sockets, tls

    # http.client, asyncio and urllib ask for `ssl` while they are imported.
    tls.__name__ = "ssl"
    sys.modules["ssl"] = tls
    for kind in vars(tls).values():
        if isinstance(kind, type) and kind.__module__ == __package__ + ".tls":
            kind.__module__ = "ssl"
    import socket  # noqa: F401, before its parts are replaced

    sockets.install()
    for name in _LOADED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"not in this build of CPython: {error}", file=sys.stderr)
    from . import absent, invoke, stdlib, threadless, timezones

    del invoke
    threadless.install()
    timezones.keep()
    timezones.install()
    stdlib.keep()
    # Last on sys.meta_path: asked when nobody has a module.
    absent.install()


def freeze():
    """Takes the snapshot's objects out of every later collection, which would only touch their pages."""
    gc.collect()
    gc.freeze()
