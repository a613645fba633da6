"""Time zones without files: Lambda's machines have them, so `ZoneInfo("Europe/Berlin")` must work here too.

The build finds them in the PyPI package `tzdata`. A `tzdata` beside the handler comes first, as a newer one should.
"""

import io
import zlib
import zoneinfo
from zoneinfo import _common

_zones = {}
"""Key to compressed TZif data."""

_names = []


def keep():
    """Reads the zones from the package. Build time only."""
    import tzdata  # a folder of the build

    root = tzdata.__path__[0] + "/zoneinfo"
    with open(tzdata.__path__[0] + "/zones") as file:
        _names.extend(file.read().split())
    for key in _names:
        with open(f"{root}/{key}", "rb") as file:
            _zones[key] = zlib.compress(file.read(), 9)


def install():
    load_from_package = _common.load_tzdata

    def load_tzdata(key):
        try:
            return load_from_package(key)
        except zoneinfo.ZoneInfoNotFoundError:
            if key not in _zones:
                raise
            return io.BytesIO(zlib.decompress(_zones[key]))

    def available_timezones():
        return set(_names)

    # The C half of zoneinfo looks it up here at each use.
    _common.load_tzdata = load_tzdata
    zoneinfo.available_timezones = available_timezones
