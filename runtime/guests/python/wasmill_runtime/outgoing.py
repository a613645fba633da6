"""One HTTP request through the host: wasi:http, whose host side has the names, the TLS and the list of allowed hosts.

The bindings exist in a component only, so they are imported where they are used; the tests put a stand-in for `Exchange`.
"""

import errno
import socket
import sys

from .tls import SSLCertVerificationError, SSLError

_NS_PER_S = 1_000_000_000
_READ_BYTES = 64 * 1024

# The host sets these itself or they are about one connection, which is the host's; wasi:http refuses them.
_OF_THE_CONNECTION = {"connection", "host", "http2-settings", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}


class Exchange:
    """A request on its way, and its response. Every wait takes a number of seconds, or None for ever."""

    def __init__(self, method, scheme, authority, target, headers, has_body, connect_timeout):
        from componentize_py_types import Err
        from wit_world.imports import outgoing_handler
        from wit_world.imports import wasi_http_types as http

        self._err = Err
        self._destination = f"{scheme}://{authority}"
        self._response = self._incoming = self._input = self._body = self._output = None
        fields = http.Fields.from_list([(name, value) for name, value in headers if name.lower() not in _OF_THE_CONNECTION])
        request = http.OutgoingRequest(fields)
        known = getattr(http, f"Method_{method.capitalize()}", None)
        request.set_method(known() if known else http.Method_Other(method))
        request.set_scheme(http.Scheme_Https() if scheme == "https" else http.Scheme_Http())
        try:
            request.set_authority(authority)
            request.set_path_with_query(target)
        except Err:
            raise OSError(errno.EINVAL, f"not an address for a request: {self._destination}{target}") from None
        options = http.RequestOptions()
        if connect_timeout is not None:
            options.set_connect_timeout(max(1, int(connect_timeout * _NS_PER_S)))
        if has_body:
            self._body = request.body()
            self._output = self._body.write()
        try:
            self._future = outgoing_handler.handle(request, options)
        except Err as error:
            raise failure(error.value, self._destination) from None

    def write(self, data, timeout):
        """Sends a part of the body, as fast as the other side takes it."""
        view = memoryview(data)
        while view:
            try:
                room = self._output.check_write()
                if room == 0:
                    self._wait_on(self._output, timeout)
                    continue
                self._output.write(bytes(view[:room]))
            except self._err:
                # The stream only says that it is over; the response says why, or is there early.
                if self.wait(timeout):
                    return
                raise ConnectionResetError(errno.ECONNRESET, "the request was cut off") from None
            view = view[room:]

    def finish(self):
        """No more body."""
        if self._body is None:
            return
        from wit_world.imports.wasi_http_types import OutgoingBody

        self._output.__exit__(None, None, None)
        body, self._body, self._output = self._body, None, None
        try:
            OutgoingBody.finish(body, None)
        except self._err as error:
            raise failure(error.value, self._destination) from None

    def wait(self, timeout):
        """Waits for the response's head; False if the time is up first. Raises what kept the response from coming."""
        if self._response is not None:
            return True
        answer = self._future.get()
        if answer is None:
            try:
                self._wait_on(self._future, timeout)
            except TimeoutError:
                return False
            answer = self._future.get()
        # Two results: the outer is an error if it was asked for twice.
        answer = answer.value
        if isinstance(answer, self._err):
            raise failure(answer.value, self._destination)
        self._response = answer.value
        return True

    def ready(self):
        return self.wait(0)

    def head(self):
        """Status and headers, once `wait` was true."""
        with self._response.headers() as fields:
            return self._response.status(), fields.entries()

    def read(self, size, timeout):
        """A part of the body, b"" at its end."""
        if self._incoming is None:
            self._incoming = self._response.consume()
            self._input = self._incoming.stream()
        while True:
            try:
                data = self._input.read(min(size, _READ_BYTES))
            except self._err as error:
                return self._ended(error.value)
            if data:
                return data
            self._wait_on(self._input, timeout)

    def close(self):
        """Gives the host's side back, children first."""
        for part in (self._output, self._body, self._input, self._incoming, self._response, self._future):
            if part is not None:
                part.__exit__(None, None, None)
        self._output = self._body = self._input = self._incoming = self._response = self._future = None

    def _wait_on(self, thing, timeout):
        from wit_world.imports import monotonic_clock, poll

        with thing.subscribe() as ready:
            if timeout is None:
                ready.block()
                return
            with monotonic_clock.subscribe_duration(max(0, int(timeout * _NS_PER_S))) as clock:
                if 0 not in poll.poll([ready, clock]):
                    raise TimeoutError(errno.ETIMEDOUT, "timed out")

    def _ended(self, error):
        from wit_world.imports.wasi_http_types import http_error_code

        if type(error).__name__ == "StreamError_Closed":
            return b""
        code = http_error_code(error.value)
        raise ConnectionResetError(errno.ECONNRESET, "the response was cut off") if code is None else failure(code, self._destination)


def failure(code, destination):
    """The exception that a socket would have raised, for an error code of wasi:http."""
    kind = type(code).__name__.removeprefix("ErrorCode_")
    match kind:
        case "HttpRequestDenied":
            return _denied(destination)
        case "DnsTimeout" | "DnsError":
            return socket.gaierror(socket.EAI_NONAME, f"the name of {destination} is not known")
        case "ConnectionRefused":
            return ConnectionRefusedError(errno.ECONNREFUSED, f"Connection refused: {destination}")
        case "DestinationNotFound" | "DestinationUnavailable" | "DestinationIpProhibited" | "DestinationIpUnroutable":
            return OSError(errno.EHOSTUNREACH, f"No route to host: {destination}")
        case "ConnectionTimeout":
            return ConnectTimeout(errno.ETIMEDOUT, f"timed out while connecting to {destination}")
        case "ConnectionReadTimeout" | "ConnectionWriteTimeout" | "HttpResponseTimeout":
            return TimeoutError(errno.ETIMEDOUT, "timed out")
        case "ConnectionTerminated" | "HttpResponseIncomplete":
            return ConnectionResetError(errno.ECONNRESET, f"Connection reset by peer: {destination}")
        case "TlsCertificateError":
            return SSLCertVerificationError(1, f"the host does not trust the certificate of {destination}")
        case "TlsProtocolError" | "TlsAlertReceived":
            return SSLError(1, f"no TLS with {destination}: {kind}")
    said = getattr(code, "value", None)
    return ConnectionError(errno.EPROTO, f"{destination}: {kind}" + (f": {said}" if said is not None else ""))


def _denied(destination):
    message = f"{destination} is not among the function's allowed_hosts"
    if destination not in _denied_before:
        # Some libraries try again and in the end only say that there was no connection.
        _denied_before.add(destination)
        print(message, file=sys.stderr)
    return PermissionError(errno.EACCES, message)


_denied_before = set()


class ConnectTimeout(TimeoutError):
    """A timeout that is known to be one of connecting."""


def is_of_connecting(error):
    """Whether a socket would have raised it before anything was sent."""
    return not isinstance(error, ConnectionResetError) and (isinstance(error, ConnectTimeout) or not isinstance(error, TimeoutError))
