"""A certificate authority that is thrown away: it signs one certificate, and its key never leaves the memory."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from mockveo.errors import SettingsError
from mockveo.http.hosts import is_ip

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The name of the authority, as a person meets it in a certificate viewer.
AUTHORITY_NAME: Final = "mockveo throw-away CA"
#: Arbitrary: longer than a run, and valid for programs whose clock is wrong by a month.
_VALID_BEFORE, _VALID_AFTER = dt.timedelta(days=30), dt.timedelta(days=365)
#: The password of the trust store, which holds nothing secret. Precedent: the JDK's own.
TRUST_STORE_PASSWORD: Final = "changeit"  # noqa: S105 - it protects nothing


class HandshakeWatch(Protocol):
    """What learns of the connections of a server."""

    def opened(self) -> None:
        """A client has begun a handshake."""

    def failed(self, reason: str) -> None:
        """A handshake has failed, with OpenSSL's name of the reason."""

    def spoke(self) -> None:
        """A client has sent its first data."""


class Authority:
    """An authority and the certificate that it has signed for some names. Raises SettingsError without cryptography."""

    def __init__(self, names: Iterable[str]) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric import ec
        except ImportError:
            raise SettingsError(
                "TLS needs the package cryptography, which is not installed; install mockveo with its extra, e.g."
                " pip install 'mockveo[run]'"
            ) from None
        names = list(dict.fromkeys(names))
        key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self._certificate = _authority_certificate(key)
        #: The authority's certificate, in PEM.
        self.pem: bytes = _pem(self._certificate)
        self._chain: bytes = _pem(_server_certificate(names, key, server_key)) + _key_pem(server_key)

    def trust_store(self) -> bytes:
        """Return a trust store for Java, in PKCS 12, that holds the authority alone."""
        from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

        entry = pkcs12.PKCS12Certificate(self._certificate, b"mockveo")
        encryption = BestAvailableEncryption(TRUST_STORE_PASSWORD.encode())
        return pkcs12.serialize_java_truststore([entry], encryption)

    def context(self, watch: HandshakeWatch | None = None) -> ssl.SSLContext:
        """Return a server's context; `watch` learns of each connection."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        with _private_file(self._chain) as path:
            context.load_cert_chain(path)
        if watch is not None:
            context.sslobject_class = _watched(watch)
        return context


def _watched(watch: HandshakeWatch) -> type[ssl.SSLObject]:
    class WatchedTls(ssl.SSLObject):
        """TLS that reports its handshake: asyncio keeps the failure of one to itself."""

        _is_open = _has_spoken = False

        def do_handshake(self) -> None:
            if not self._is_open:
                self._is_open = True
                watch.opened()
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                watch.failed(error.reason or "end of the connection")
                raise

        def read(self, *arguments: Any) -> Any:
            data = super().read(*arguments)
            if data and not self._has_spoken:
                self._has_spoken = True
                watch.spoke()
            return data

    return WatchedTls


def subject_hash(name: str) -> str:
    """Return the name under which OpenSSL looks for an authority in a directory. Source: X509_NAME_hash of OpenSSL."""
    text = " ".join(name.lower().split()).encode()
    value = b"\x06\x03\x55\x04\x03" + bytes([0x0C, len(text)]) + text
    sequence = bytes([0x30, len(value)]) + value
    digest = hashlib.sha1(bytes([0x31, len(sequence)]) + sequence, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}.0"


@contextmanager
def _private_file(content: bytes) -> Iterator[str]:
    """Show a secret to a library that reads files only, without a name on the disk if the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("mockveo", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as directory:  # mode 0700
        path = Path(directory, "key")
        path.write_bytes(content)
        yield str(path)


def _builder(subject: str, public_key: Any) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    now = dt.datetime.now(dt.UTC)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME)])
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALID_BEFORE)
        .not_valid_after(now + _VALID_AFTER)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(**uses: bool) -> Any:
    from cryptography import x509

    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**(dict.fromkeys(names, False) | uses))


def _authority_certificate(key: Any) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    builder = _builder(AUTHORITY_NAME, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def _server_certificate(names: list[str], key: Any, server_key: Any) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    hosts = [x509.IPAddress(ipaddress.ip_address(name)) if is_ip(name) else x509.DNSName(name) for name in names]
    builder = _builder(names[0], server_key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(digital_signature=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False).sign(key, hashes.SHA256())


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    data: bytes = certificate.public_bytes(Encoding.PEM)
    return data


def _key_pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    data: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return data
