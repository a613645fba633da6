"""Threads, pools and asyncio in a sandbox that has one thread.

* A pool of threads runs each task when it is submitted. The results are the same, one after the other.
* `asyncio` has an event loop that needs no sockets: tasks, timers, gathering, timeouts and `to_thread` work.
* A thread of its own cannot start, and says so: what it would do beside the rest would never be done.
"""

import asyncio
import concurrent.futures.thread
import errno
import selectors
import socket
import sys
import threading
import time
from asyncio import unix_events

_NO_ASYNC_SOCKETS = "the sandbox has no sockets for asyncio; use urllib, requests, httpx.Client or boto3, in asyncio.to_thread if need be"
_NO_THREADS = "can't start new thread: the sandbox has one; a ThreadPoolExecutor works, and runs its tasks one after the other"


class Timer(selectors._BaseSelectorImpl):
    """Waits for the time that the loop names; nothing else can happen."""

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("asyncio waits for something that nothing in the sandbox can do (a thread, a socket, a signal)")
        if timeout > 0:
            time.sleep(timeout)
        return []


class EventLoop(unix_events._UnixSelectorEventLoop):
    """Without the pair of sockets by which other threads wake a loop."""

    def __init__(self, selector=None):
        super().__init__(selector or Timer())

    def _make_self_pipe(self):
        pass

    def _close_self_pipe(self):
        pass

    def _write_to_self(self):
        pass

    async def shutdown_default_executor(self, timeout=None):
        self._executor_shutdown_called = True
        if self._default_executor is not None:
            self._default_executor.shutdown()

    async def _no_sockets(self, *_arguments, **_options):
        # Some libraries only say that no attempt succeeded.
        print(_NO_ASYNC_SOCKETS, file=sys.stderr)
        raise OSError(errno.EACCES, _NO_ASYNC_SOCKETS)

    create_connection = create_server = create_datagram_endpoint = create_unix_connection = create_unix_server = _no_sockets
    sock_connect = sock_accept = sock_recv = sock_recv_into = sock_sendall = sock_sendfile = _no_sockets

    async def getaddrinfo(self, host, port, **options):
        return socket.getaddrinfo(host, port)


def _submit(self, function, /, *arguments, **keywords):
    """`ThreadPoolExecutor.submit`: the task is done before this returns."""
    if self._shutdown:
        raise RuntimeError("cannot schedule new futures after shutdown")
    future = concurrent.futures.Future()
    task = self._resolve_work_item_task(function, arguments, keywords)
    context = self._create_worker_context()
    if not getattr(self, "_initialized_inline", False):
        context.initialize()
        self._initialized_inline = True
    concurrent.futures.thread._WorkItem(future, task).run(context)
    return future


def _no_thread(*_arguments, **_options):
    raise RuntimeError(_NO_THREADS)


def install():
    """Build time."""
    concurrent.futures.thread.ThreadPoolExecutor.submit = _submit
    concurrent.futures.ThreadPoolExecutor = concurrent.futures.thread.ThreadPoolExecutor
    threading._start_joinable_thread = _no_thread
    asyncio.SelectorEventLoop = asyncio.EventLoop = unix_events.SelectorEventLoop = unix_events.EventLoop = EventLoop
    unix_events._DefaultEventLoopPolicy._loop_factory = EventLoop
