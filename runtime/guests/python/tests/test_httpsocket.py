"""Python's own HTTP clients over `HttpSocket`, with a stand-in for the host's side."""

import http.client
import io
import socket
import sys
import unittest
import urllib.error
import urllib.request
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from wasmill_runtime import outgoing, sockets  # noqa: E402
from wasmill_runtime.httpsocket import HttpSocket  # noqa: E402


class Host:
    """Answers each request as `answer` says, and remembers it."""

    def __init__(self, status=200, headers=(), body=b"", failure=None, slow=False):
        self.status, self.headers, self.body = status, list(headers), body
        self.failure, self.slow = failure, slow
        self.requests = []

    def __call__(self, method, scheme, authority, target, headers, has_body, connect_timeout):
        exchange = Exchange(self)
        exchange.request = dict(
            method=method, url=f"{scheme}://{authority}{target}", headers=headers, has_body=has_body, timeout=connect_timeout
        )
        self.requests.append(exchange)
        return exchange


class Exchange:
    def __init__(self, host):
        self.host, self.sent, self.finished, self.closed = host, b"", False, False
        self.answer = io.BytesIO(host.body)

    def write(self, data, timeout):
        self.sent += data

    def finish(self):
        self.finished = True

    def wait(self, timeout):
        if self.host.failure:
            raise self.host.failure
        return not self.host.slow

    def head(self):
        return self.host.status, self.host.headers

    def read(self, size, timeout):
        return self.answer.read(size)

    def close(self):
        self.closed = True


class OverHttpSocket(unittest.TestCase):
    def serve(self, **answer):
        host = Host(**answer)
        for patch in (
            mock.patch.object(socket, "socket", HttpSocket),
            mock.patch.object(socket, "getaddrinfo", sockets.getaddrinfo),
            mock.patch.object(HttpSocket, "exchange_class", staticmethod(host)),
        ):
            patch.start()
            self.addCleanup(patch.stop)
        return host

    def test_a_get_has_its_status_headers_and_body(self):
        host = self.serve(headers=[("content-type", b"text/plain"), ("set-cookie", b"a=1"), ("set-cookie", b"b=2")], body=b"hello")
        with urllib.request.urlopen("http://example.com/a?b=1") as response:
            self.assertEqual((response.status, response.read()), (200, b"hello"))
            self.assertEqual(response.headers.get_all("set-cookie"), ["a=1", "b=2"])
        [request] = host.requests
        self.assertEqual((request.request["method"], request.request["url"]), ("GET", "http://example.com/a?b=1"))
        self.assertFalse(request.request["has_body"])
        self.assertTrue(request.finished)

    def test_a_body_of_known_length_arrives_whole(self):
        host = self.serve()
        urllib.request.urlopen(urllib.request.Request("http://example.com:8080/", data=b"x" * 300_000, method="PUT")).read()
        self.assertEqual(len(host.requests[0].sent), 300_000)
        self.assertEqual(host.requests[0].request["url"], "http://example.com:8080/")

    def test_a_chunked_body_arrives_without_its_chunks(self):
        host = self.serve()
        parts = (b"part %d " % number for number in range(3))
        urllib.request.urlopen(urllib.request.Request("http://example.com/", data=parts, method="POST")).read()
        self.assertEqual(host.requests[0].sent, b"part 0 part 1 part 2 ")

    def test_a_chunked_body_may_be_cut_anywhere(self):
        host = self.serve()
        wire = b"POST / HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"
        for step in (1, 2, 3, 7):
            with self.subTest(step=step), HttpSocket() as connection:
                connection.connect(("e", 80))
                for at in range(0, len(wire), step):
                    connection.sendall(wire[at : at + step])
                self.assertEqual(host.requests[-1].sent, b"abc0123456789")
                self.assertTrue(host.requests[-1].finished)

    def test_one_connection_object_does_one_request_after_the_other(self):
        self.serve(headers=[("content-length", b"2")], body=b"ok")
        connection = http.client.HTTPConnection("example.com", timeout=3)
        for _ in range(3):
            connection.request("GET", "/")
            self.assertEqual(connection.getresponse().read(), b"ok")

    def test_what_waits_for_100_continue_is_told_to_go_on(self):
        host = self.serve()
        with HttpSocket() as connection:
            connection.connect(("e", 80))
            connection.sendall(b"PUT / HTTP/1.1\r\nHost: e\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            self.assertTrue(connection.has_something())
            self.assertEqual(connection.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(b"ok")
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertNotIn("expect", [name.lower() for name, _ in host.requests[0].request["headers"]])

    def test_a_refused_connection_is_a_url_error_with_its_reason(self):
        self.serve(failure=ConnectionRefusedError(1, "Connection refused"))
        with self.assertRaises(urllib.error.URLError) as caught:
            urllib.request.urlopen("http://example.com/")
        self.assertIsInstance(caught.exception.reason, ConnectionRefusedError)

    def test_a_slow_answer_is_a_timeout(self):
        self.serve(slow=True)
        with self.assertRaises(TimeoutError):
            urllib.request.urlopen("http://example.com/", timeout=0.01)

    def test_another_protocol_is_told_why_not(self):
        self.serve()
        for wire in (b"*1\r\n$4\r\nPING\r\n", b"\x16\x03\x01", b"EHLO me\r\n\r\n", b"GET http://other/ HTTP/1.1\r\n\r\n"):
            with self.subTest(wire=wire), HttpSocket() as connection:
                connection.connect(("example.com", 6379))
                with self.assertRaisesRegex(PermissionError, "the sandbox"):
                    connection.sendall(wire)

    def test_a_server_that_would_speak_first_is_told_why_not(self):
        self.serve()
        with HttpSocket() as connection, self.assertRaisesRegex(PermissionError, "no raw sockets"):
            connection.connect(("mail", 25))
            connection.recv(10)

    def test_a_host_header_for_another_host_is_refused(self):
        self.serve()
        with self.assertRaises(urllib.error.URLError):
            urllib.request.urlopen(urllib.request.Request("http://allowed.example/", headers={"Host": "denied.example"}))

    def test_a_secure_socket_asks_for_https(self):
        from wasmill_runtime import securesocket, tls

        host = self.serve()
        with mock.patch.object(securesocket.SecureSocket, "exchange_class", staticmethod(host)):
            plain = HttpSocket()
            plain.connect(("example.com", 443))
            secure = tls.create_default_context().wrap_socket(plain, server_hostname="example.com")
            secure.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        self.assertEqual(host.requests[0].request["url"], "https://example.com/")
        self.assertIn(("DNS", "example.com"), secure.getpeercert()["subjectAltName"])

    def test_closing_gives_the_exchange_back_once_the_response_is_closed_too(self):
        host = self.serve(body=b"rest")
        connection = HttpSocket()
        connection.connect(("e", 80))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
        file = connection.makefile("rb")
        connection.close()
        self.assertTrue(file.read().endswith(b"rest"))
        self.assertFalse(host.requests[0].closed)
        file.close()
        self.assertTrue(host.requests[0].closed)


class Failures(unittest.TestCase):
    def code(self, name, value=None):
        code = type(f"ErrorCode_{name}", (), {})()
        code.value = value
        return outgoing.failure(code, "https://example.com")

    def test_a_denied_host_is_named_with_the_setting_that_allows_it(self):
        said = "https://example.com is not among the function's allowed_hosts"
        with mock.patch.object(sys, "stderr", io.StringIO()) as stderr, mock.patch.object(outgoing, "_denied_before", set()):
            self.assertIn(said, str(self.code("HttpRequestDenied")))
            self.code("HttpRequestDenied")
        self.assertEqual(stderr.getvalue(), said + "\n")

    def test_each_failure_is_what_people_catch(self):
        for name, kind in {
            "ConnectionRefused": ConnectionRefusedError,
            "ConnectionTimeout": TimeoutError,
            "HttpResponseTimeout": TimeoutError,
            "DnsError": socket.gaierror,
            "ConnectionTerminated": ConnectionResetError,
            "TlsCertificateError": outgoing.SSLCertVerificationError,
            "InternalError": ConnectionError,
        }.items():
            self.assertIsInstance(self.code(name), kind, name)


if __name__ == "__main__":
    unittest.main()
