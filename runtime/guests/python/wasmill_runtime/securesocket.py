"""A socket whose requests go over HTTPS: what `SSLContext.wrap_socket` gives."""

from .httpsocket import HttpSocket
from .tls import SSLError, SSLSocket


class SecureSocket(HttpSocket, SSLSocket):
    scheme = "https"

    @classmethod
    def of(cls, plain, context, server_hostname):
        if isinstance(plain, cls) or plain._exchange is not None:
            raise SSLError(1, "the sandbox has no TLS inside of a connection (a proxy's): the host connects for it")
        secure = cls(plain.family, plain.type, plain.proto)
        secure.timeout, secure.address, secure._connect_timeout = plain.timeout, plain.address, plain._connect_timeout
        secure.context, secure.server_hostname, secure.server_side, secure.session = context, server_hostname, False, None
        plain.close()
        return secure

    def do_handshake(self, block=False):
        pass

    def unwrap(self):
        return self

    def getpeercert(self, binary_form=False):
        """Some libraries compare the names themselves. The host does it, and nothing but what it trusts answers here."""
        if binary_form:
            raise SSLError(1, "the sandbox does not see certificates: TLS is the host's")
        name = self.server_hostname or self.address[0]
        kind = "IP Address" if ":" in name or name.replace(".", "").isdigit() else "DNS"
        return {"subject": ((("commonName", name),),), "subjectAltName": ((kind, name),)}

    def pending(self):
        return len(self._readable)

    def _unknown(self, *_arguments):
        return None

    version = cipher = selected_alpn_protocol = selected_npn_protocol = compression = get_channel_binding = _unknown

    def read(self, size=1024, buffer=None):
        return self.recv(size) if buffer is None else self.recv_into(buffer, size)

    write = HttpSocket.send
