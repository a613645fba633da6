"""The module `ssl` of the sandbox. TLS is the host's: it connects, and verifies each certificate against its own roots.

So contexts can be made and set, as every library does, and wrapping a socket marks it to be sent over HTTPS. What would
need TLS in here (client certificates, a look at the peer's certificate, TLS over anything but HTTP) raises. Roots that
a context loads are not used: a context that trusts a private authority meets the host's verdict.
"""

import enum
import socket as _socket

# urllib3 and others refuse what does not call itself OpenSSL 1.1.1 or later.
OPENSSL_VERSION = "OpenSSL 3.0.0 (not in the sandbox: TLS is the host's)"
OPENSSL_VERSION_INFO = (3, 0, 0, 0, 0)
OPENSSL_VERSION_NUMBER = 0x30000000
HAS_SNI = HAS_ALPN = HAS_ECDH = HAS_NEVER_CHECK_COMMON_NAME = HAS_TLSv1_2 = HAS_TLSv1_3 = True
HAS_SSLv2 = HAS_SSLv3 = HAS_TLSv1 = HAS_TLSv1_1 = HAS_NPN = HAS_PSK = HAS_PHA = False
CHANNEL_BINDING_TYPES = []
PEM_HEADER, PEM_FOOTER = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class _SSLMethod(enum.IntEnum):
    PROTOCOL_TLS = PROTOCOL_SSLv23 = 2
    PROTOCOL_TLSv1 = 3
    PROTOCOL_TLSv1_1 = 4
    PROTOCOL_TLSv1_2 = 5
    PROTOCOL_TLS_CLIENT = 16
    PROTOCOL_TLS_SERVER = 17


class VerifyMode(enum.IntEnum):
    CERT_NONE = 0
    CERT_OPTIONAL = 1
    CERT_REQUIRED = 2


class VerifyFlags(enum.IntFlag):
    VERIFY_DEFAULT = 0
    VERIFY_CRL_CHECK_LEAF = 0x4
    VERIFY_CRL_CHECK_CHAIN = 0xC
    VERIFY_X509_STRICT = 0x20
    VERIFY_X509_TRUSTED_FIRST = 0x8000
    VERIFY_X509_PARTIAL_CHAIN = 0x80000


class Options(enum.IntFlag):
    OP_ALL = 0x80000050
    OP_LEGACY_SERVER_CONNECT = 0x4
    OP_IGNORE_UNEXPECTED_EOF = 0x80
    OP_NO_TICKET = 0x4000
    OP_NO_COMPRESSION = 0x20000
    OP_ENABLE_KTLS = 0x8
    OP_ENABLE_MIDDLEBOX_COMPAT = 0x100000
    OP_CIPHER_SERVER_PREFERENCE = 0x400000
    OP_NO_SSLv2 = OP_SINGLE_DH_USE = OP_SINGLE_ECDH_USE = 0
    OP_NO_SSLv3 = 0x2000000
    OP_NO_TLSv1 = 0x4000000
    OP_NO_TLSv1_1 = 0x10000000
    OP_NO_TLSv1_2 = 0x8000000
    OP_NO_TLSv1_3 = 0x20000000
    OP_NO_RENEGOTIATION = 0x40000000


class TLSVersion(enum.IntEnum):
    MINIMUM_SUPPORTED = -2
    MAXIMUM_SUPPORTED = -1
    SSLv3 = 768
    TLSv1 = 769
    TLSv1_1 = 770
    TLSv1_2 = 771
    TLSv1_3 = 772


class Purpose(enum.Enum):
    SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
    CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"


for _kind in (_SSLMethod, VerifyMode, VerifyFlags, Options):
    globals().update(_kind.__members__)


class SSLError(OSError):
    library = reason = None

    def __str__(self):
        return self.strerror or super().__str__()


class SSLZeroReturnError(SSLError): ...


class SSLWantReadError(SSLError): ...


class SSLWantWriteError(SSLError): ...


class SSLSyscallError(SSLError): ...


class SSLEOFError(SSLError): ...


class SSLCertVerificationError(SSLError, ValueError):
    verify_code, verify_message = 1, "the host does not trust it"


CertificateError = SSLCertVerificationError
socket_error = OSError
SSL_ERROR_SSL, SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_EOF = 1, 2, 3, 8


class SSLContext:
    """Holds what it is told. The host does not ask for it."""

    sslsocket_class = None
    keylog_filename = None
    post_handshake_auth = None
    hostname_checks_common_name = False
    security_level = 2
    sni_callback = None

    def __init__(self, protocol=_SSLMethod.PROTOCOL_TLS):
        self.protocol = protocol
        self.verify_flags = VerifyFlags.VERIFY_X509_TRUSTED_FIRST
        self.options = Options.OP_ALL | Options.OP_NO_SSLv3
        self.minimum_version, self.maximum_version = TLSVersion.TLSv1_2, TLSVersion.MAXIMUM_SUPPORTED
        self.check_hostname = protocol == _SSLMethod.PROTOCOL_TLS_CLIENT
        self.verify_mode = VerifyMode.CERT_REQUIRED if self.check_hostname else VerifyMode.CERT_NONE

    def load_verify_locations(self, cafile=None, capath=None, cadata=None):
        if cafile is None and capath is None and cadata is None:
            raise TypeError("cafile, capath and cadata cannot be all omitted")
        if cafile is not None:
            with open(cafile, "rb"):  # a path that is wrong shows here, as it always did
                pass

    def load_cert_chain(self, certfile, keyfile=None, password=None):
        raise SSLError(1, "the sandbox cannot show a client certificate: TLS is the host's")

    def wrap_socket(self, sock, server_side=False, do_handshake_on_connect=True, suppress_ragged_eofs=True, server_hostname=None, session=None):
        if server_side or not isinstance(sock, _socket.socket):
            raise SSLError(1, "the sandbox has no TLS over raw sockets: TLS is the host's, for HTTPS requests")
        if self.check_hostname and not server_hostname:
            raise ValueError("check_hostname requires server_hostname")
        return _secure(sock, self, server_hostname)

    def wrap_bio(self, *_arguments, **_options):
        raise SSLError(1, "the sandbox has no TLS over raw sockets: TLS is the host's, for HTTPS requests")

    def _nothing(self, *_arguments, **_options):
        pass

    load_default_certs = set_default_verify_paths = set_alpn_protocols = set_ciphers = set_npn_protocols = _nothing
    set_ecdh_curve = load_dh_params = set_servername_callback = _nothing

    def get_ca_certs(self, binary_form=False):
        return []

    get_ciphers = get_ca_certs

    def cert_store_stats(self):
        return {"x509": 0, "crl": 0, "x509_ca": 0}

    def session_stats(self):
        return {}


class SSLSocket:
    """What isinstance checks ask for; the sockets themselves are `HttpSocket`s sent over HTTPS."""


class SSLObject: ...


class SSLSession: ...


class MemoryBIO:
    def __init__(self):
        raise SSLError(1, "the sandbox has no TLS over raw sockets: TLS is the host's, for HTTPS requests")


def _secure(sock, context, server_hostname):
    from .securesocket import SecureSocket

    return SecureSocket.of(sock, context, server_hostname)


def create_default_context(purpose=Purpose.SERVER_AUTH, *, cafile=None, capath=None, cadata=None):
    context = SSLContext(_SSLMethod.PROTOCOL_TLS_CLIENT if purpose == Purpose.SERVER_AUTH else _SSLMethod.PROTOCOL_TLS_SERVER)
    if cafile or capath or cadata:
        context.load_verify_locations(cafile, capath, cadata)
    return context


def _create_unverified_context(protocol=None, **_options):
    """Made, and verified by the host all the same."""
    return SSLContext(_SSLMethod.PROTOCOL_TLS)


_create_default_https_context = create_default_context
_create_stdlib_context = _create_unverified_context


class DefaultVerifyPaths(tuple):
    cafile = capath = openssl_cafile = openssl_capath = None
    openssl_cafile_env, openssl_capath_env = "SSL_CERT_FILE", "SSL_CERT_DIR"


def get_default_verify_paths():
    return DefaultVerifyPaths()


def get_server_certificate(*_arguments, **_options):
    raise SSLError(1, "the sandbox does not see certificates: TLS is the host's")


def RAND_bytes(count):
    import os

    return os.urandom(count)


def RAND_status():
    return True


def DER_cert_to_PEM_cert(der):
    import base64

    body = base64.encodebytes(der).decode().replace("\n", "")
    return "\n".join([PEM_HEADER, *(body[at : at + 64] for at in range(0, len(body), 64)), PEM_FOOTER, ""])


def PEM_cert_to_DER_cert(pem):
    import base64

    return base64.b64decode(pem.strip().removeprefix(PEM_HEADER).removesuffix(PEM_FOOTER))
