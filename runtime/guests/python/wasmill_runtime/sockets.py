"""Puts `HttpSocket` where the standard library has sockets, and makes `select` know it."""

import select
import socket
import time

from .httpsocket import HttpSocket

_real_poll = getattr(select, "poll", None)
_real_select = select.select


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    """The name itself stands for its addresses: the host finds them."""
    if isinstance(host, bytes):
        host = host.decode("idna")
    if isinstance(port, str):
        port = {"http": 80, "https": 443}.get(port) or int(port)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host or "127.0.0.1", port or 0))]


def _no_names(*_arguments):
    raise socket.gaierror(socket.EAI_FAIL, "the sandbox does not look names up: the host does, for HTTP requests")


class Poll:
    """`select.poll` for our sockets; all else goes to the real one."""

    def __init__(self):
        self._ours = {}
        self._real = _real_poll() if _real_poll else None

    def register(self, thing, events=select.POLLIN | select.POLLOUT if _real_poll else 5):
        if isinstance(thing, HttpSocket):
            self._ours[thing] = events
        else:
            self._real.register(thing, events)

    modify = register

    def unregister(self, thing):
        if isinstance(thing, HttpSocket):
            del self._ours[thing]
        else:
            self._real.unregister(thing)

    def poll(self, timeout=None):
        if not self._ours:
            return self._real.poll(timeout)
        ready = []
        for thing, events in self._ours.items():
            came = events & (select.POLLIN if thing.has_something() else 0) | events & select.POLLOUT
            if came:
                ready.append((thing.fileno(), came))
        if not ready and timeout:
            time.sleep(min(timeout / 1000, 1))
        return ready


def select_(rlist, wlist, xlist, timeout=None):
    rlist, wlist, xlist = list(rlist), list(wlist), list(xlist)
    if not any(isinstance(thing, HttpSocket) for thing in rlist + wlist + xlist):
        return _real_select(rlist, wlist, xlist, timeout)
    return [thing for thing in rlist if thing.has_something()], wlist, []


def install():
    """Build time, before anything else of the standard library that stands on sockets is imported."""
    socket.socket = socket.SocketType = HttpSocket
    socket.getaddrinfo = getaddrinfo
    socket.gethostbyname = socket.gethostbyname_ex = socket.gethostbyaddr = socket.getnameinfo = _no_names
    socket.gethostname = socket.getfqdn = lambda name="": name or "localhost"
    socket.socketpair = HttpSocket._refuse
    socket.create_server = HttpSocket._refuse
    if _real_poll:
        select.poll = Poll
    select.select = select_
