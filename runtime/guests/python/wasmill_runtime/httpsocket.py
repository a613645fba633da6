"""A socket that speaks HTTP only: what is written to it is one request, what is read from it is its response.

There are no sockets in the sandbox, only requests that the host sends. Everything that brings HTTP to Python stands on
sockets, though: `http.client`, urllib3, requests, botocore, httpx, each with a layer of its own. So the seam is here,
below them all: the bytes of a request are taken apart again, sent by `outgoing.Exchange`, and the response's bytes are
put together. Connection reuse, names and TLS are the host's; redirects, retries, cookies stay with the libraries.

What is no HTTP request ends in one line.
"""

import errno
import http
import re
import socket
import time

from . import outgoing

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]\Z")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]+)(?:;[^\r\n]*)?\Z")
_HEAD_BYTES_MAX = 1 << 20
# A request line's first bytes: a method, in practice in capitals.
_LIKE_A_METHOD = re.compile(rb"[A-Z-]+( |\Z)")


class HttpSocket:
    """Takes the place of `socket.socket`."""

    exchange_class = outgoing.Exchange
    scheme = "http"

    def __init__(self, family=socket.AF_INET, type=socket.SOCK_STREAM, proto=0, fileno=None):
        if fileno is not None or type & 0xF != socket.SOCK_STREAM or family not in (socket.AF_INET, socket.AF_INET6):
            raise OSError(errno.EACCES, f"the sandbox has no sockets of this kind; {_ONLY_HTTP}")
        self.family, self.type, self.proto = family, type, proto
        self.timeout = socket.getdefaulttimeout()
        self.address = None
        self._connect_timeout = None
        self._closed, self._io_refs = False, 0
        self._start_request()

    # === life ===

    def connect(self, address):
        self.address = address[:2]
        self._connect_timeout = self.timeout

    def connect_ex(self, address):
        self.connect(address)
        return 0

    def close(self):
        self._closed = True
        if self._io_refs <= 0:
            self._release()

    def detach(self):
        self.close()
        return -1

    def shutdown(self, how):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def __del__(self):
        self._release()

    makefile = socket.socket.makefile

    def _decref_socketios(self):
        self._io_refs -= 1
        if self._closed:
            self.close()

    def _release(self):
        exchange, self._exchange = getattr(self, "_exchange", None), None
        if exchange is not None:
            exchange.close()

    # === writing: a request ===

    def _start_request(self):
        self._exchange = None
        self._written = b""  # what is not understood yet
        self._state = "head"
        self._left = 0  # bytes of the body, or of a chunk
        self._complete_at = None
        self._failure = None
        self._readable = b""  # the head of the response
        self._answered = False

    def send(self, data, flags=0):
        self.sendall(data)
        return memoryview(data).nbytes

    def sendall(self, data, flags=0):
        if self._closed:
            raise OSError(errno.EBADF, "Bad file descriptor")
        if self.address is None:
            raise OSError(errno.ENOTCONN, "Socket not connected")
        data = bytes(data)
        while data or self._state == "sized" and self._left == 0:
            if self._state == "head":
                data = self._take_head(data)
            elif self._state == "sized":
                part, data = data[: self._left], data[self._left :]
                if part:
                    self._exchange.write(part, self.timeout)
                    self._left -= len(part)
                if self._left == 0:
                    self._complete()
            elif self._state == "complete":
                raise BrokenPipeError(errno.EPIPE, "one connection carries one request here")
            else:
                data = self._take_chunked(data)

    def sendfile(self, file, offset=0, count=None):
        if offset:
            file.seek(offset)
        data = file.read() if count is None else file.read(count)
        self.sendall(data)
        return len(data)

    def _take_head(self, data):
        self._written += data
        head, end, rest = self._written.partition(b"\r\n\r\n")
        if not end:
            if not _LIKE_A_METHOD.match(self._written[:64]) or len(self._written) > _HEAD_BYTES_MAX:
                raise self._no_http()
            return b""
        self._written = b""
        line, *lines = head.split(b"\r\n")
        request_line = _REQUEST_LINE.match(line)
        if not request_line:
            raise self._no_http()
        method, target = (part.decode("latin-1") for part in request_line.groups())
        if not target.startswith("/") and target != "*":
            raise OSError(errno.EACCES, "the sandbox uses no HTTP proxy: the host connects for it; unset HTTP_PROXY and HTTPS_PROXY")
        headers = [(name.decode("latin-1"), value.strip()) for name, _colon, value in (line.partition(b":") for line in lines)]
        self._begin(method, target, headers)
        return rest

    def _begin(self, method, target, headers):
        named = {name.lower(): value.decode("latin-1") for name, value in headers}
        chunked = "chunked" in named.get("transfer-encoding", "").lower()
        self._left = int(named.get("content-length", 0))
        if named.pop("expect", "").lower() == "100-continue":
            # The host asks nobody; the library is told to go on.
            self._readable = b"HTTP/1.1 100 Continue\r\n\r\n"
            headers = [header for header in headers if header[0].lower() != "expect"]
        has_body = chunked or self._left > 0
        self._exchange = self.exchange_class(
            method, self.scheme, self._authority(named.get("host")), target, headers, has_body, self._connect_timeout
        )
        self._state = "chunk size" if chunked else "sized"

    def _authority(self, host_header):
        host, port = self.address
        host = f"[{host}]" if ":" in host else host
        standard = {"http": 80, "https": 443}[self.scheme]
        mine = host if port == standard else f"{host}:{port}"
        if host_header and host_header.lower().removesuffix(f":{standard}") != mine.lower():
            raise OSError(errno.EACCES, f"a request to {mine} cannot name another host ({host_header}) in its Host header")
        return host_header or mine

    def _take_chunked(self, data):
        data, self._written = self._written + data, b""
        while True:
            if self._state == "chunk":
                part, data = data[: self._left], data[self._left :]
                if part:
                    self._exchange.write(part, self.timeout)
                    self._left -= len(part)
                if self._left:
                    return b""
                self._state = "chunk end"
            line, end, rest = data.partition(b"\r\n")
            if not end:
                self._written = data
                return b""
            data = rest
            if self._state == "chunk end":
                self._state = "chunk size"
            elif self._state == "trailers":
                if not line:
                    self._complete()
                    return data
            else:
                size = _CHUNK_SIZE.match(line)
                if not size:
                    raise OSError(errno.EINVAL, "a chunk of the request's body has no size")
                self._left = int(size.group(1), 16)
                self._state = "chunk" if self._left else "trailers"

    def _complete(self):
        self._state = "complete"
        self._exchange.finish()
        self._complete_at = time.monotonic()
        try:
            self._exchange.wait(self.timeout)
        except OSError as error:
            self._failure = error
            # Libraries tell what failed at connecting from the rest by where it is raised.
            if outgoing.is_of_connecting(error):
                raise

    def _no_http(self):
        where = "%s:%s" % tuple(self.address)
        return OSError(errno.EACCES, f"the sandbox has no raw sockets ({where}); {_ONLY_HTTP}")

    # === reading: its response ===

    def recv(self, size, flags=0):
        if self._readable:
            part, self._readable = self._readable[:size], self._readable[size:]
            return part
        if self._exchange is None:
            if self._closed:
                raise OSError(errno.EBADF, "Bad file descriptor")
            raise self._no_http() if self.address else OSError(errno.ENOTCONN, "Socket not connected")
        if self._failure is not None:
            raise self._failure
        if self._answered:
            return self._exchange.read(size, self.timeout)
        self._await_head()
        return self.recv(size)

    def recv_into(self, buffer, nbytes=0, flags=0):
        view = memoryview(buffer).cast("B")
        part = self.recv(nbytes or len(view))
        view[: len(part)] = part
        return len(part)

    def _await_head(self):
        timeout = self.timeout
        if timeout is not None and self._complete_at is not None:
            timeout = max(0, self._complete_at + timeout - time.monotonic())
        if not self._exchange.wait(timeout):
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        status, headers = self._exchange.head()
        try:
            reason = http.HTTPStatus(status).phrase
        except ValueError:
            reason = ""
        lines = [f"HTTP/1.1 {status} {reason}".encode()]
        lines += [
            name.encode("latin-1") + b": " + value
            for name, value in headers
            if name.lower() not in ("connection", "keep-alive", "transfer-encoding")
        ]
        lines += [b"Connection: close", b"", b""]
        self._readable, self._answered = b"\r\n".join(lines), True

    def has_something(self):
        """For select and poll: whether a read would not wait."""
        if self._readable or self._answered or self._failure:
            return True
        try:
            return self._exchange is not None and self._exchange.ready()
        except OSError as error:
            self._failure = error
            return True

    # === what libraries ask of a socket ===

    def settimeout(self, timeout):
        if timeout == 0:
            raise OSError(errno.EACCES, f"the sandbox has no sockets that do not block (asyncio's, for one); {_ONLY_HTTP}")
        self.timeout = timeout

    def gettimeout(self):
        return self.timeout

    def setblocking(self, flag):
        self.settimeout(None if flag else 0)

    def getblocking(self):
        return True

    def fileno(self):
        return -1

    def setsockopt(self, *_option):
        pass

    def getsockopt(self, *_option):
        return 0

    def getpeername(self):
        return self.address

    def getsockname(self):
        return ("127.0.0.1", 0)

    def _refuse(self, *_arguments, **_options):
        raise OSError(errno.EACCES, f"the sandbox has no raw sockets; {_ONLY_HTTP}")

    bind = listen = accept = recvfrom = recvfrom_into = sendto = sendmsg = recvmsg = _refuse


_ONLY_HTTP = "only HTTP and HTTPS leave it, to the function's allowed_hosts"
