"""`mockveo serve --tls`: the fake on HTTPS under the real names, for programs in other containers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mockveo._paths import write_whole
from mockveo.errors import SettingsError
from mockveo.interception.certificates import AUTHORITY_NAME, Authority
from mockveo.interception.run import played_hosts
from mockveo.server.app import Application
from mockveo.server.run import Listener, Server, bind

#: How a file of ours begins, so that no other is replaced. Readers of PEM skip what is before a certificate.
_HEADING: Final = f"# {AUTHORITY_NAME}, written by mockveo serve --tls\n"
_HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """The names in the certificate besides those of the document, the port, and the file for the authority."""

    names: Sequence[str]
    port: int
    file: Path


def serve_tls(server: Server, app: Application, options: TlsOptions) -> str:
    """Let a server answer HTTPS too; return the lines that say so. Raises SettingsError."""
    hosts = played_hosts(app.spec, options.names)
    authority = Authority([*hosts, "localhost", "127.0.0.1", "::1"])
    context = authority.context()
    listeners = [bind(app.settings.host, port, "tls_port") for port in (options.port, 0)]
    for listener, other_origin in zip(listeners, (False, True), strict=True):
        server.listen_on(Listener(listener, context, other_origin=other_origin))
    for host in hosts:
        app.hosts.allow(host)
    port, other_port = (listener.getsockname()[1] for listener in listeners)
    own = hosts[0] if port == _HTTPS_PORT else f"{hosts[0]}:{port}"
    app.origins.publish(f"https://{own}", f"https://{hosts[0]}:{other_port}")
    _write(options.file, authority.pem)
    file = options.file.resolve()
    return (
        f"  https on port {port} for {', '.join(hosts)}, signed by the authority in {file}\n"
        f"  export SSL_CERT_FILE={file} REQUESTS_CA_BUNDLE={file} NODE_EXTRA_CA_CERTS={file}"
    )


def _is_ours(file: Path) -> bool:
    with file.open("rb") as content:
        return file.is_file() and content.read(len(_HEADING)) == _HEADING.encode()


def _write(file: Path, pem: bytes) -> None:
    """Write the authority's certificate to a free path, or over an earlier one of ours. Raises SettingsError."""
    try:
        if file.exists() and not _is_ours(file):
            raise FileExistsError(None, "it exists, and mockveo did not write it")
        write_whole(file, _HEADING.encode() + pem)
        with contextlib.suppress(OSError):
            file.chmod(0o644)
    except OSError as error:
        raise SettingsError(
            f"--tls-ca is {str(file)!r}, which cannot be written: {error.strerror}; expected a new file in an existing"
            " directory, e.g. --tls-ca mockveo-ca.pem"
        ) from None
