"""The environment that a program runs in: two fences that hold on every system.

Its trust store holds our authority and nothing else, so no TLS handshake with a stranger can succeed. Its keys are
replaced by a fake one, so what leaks cannot be billed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mockveo.interception.certificates import AUTHORITY_NAME, TRUST_STORE_PASSWORD, Authority, subject_hash
from mockveo.traffic.redaction import fingerprint

#: Variables that name a file with the authorities to trust -> who reads it.
TRUST_FILES: Final[Mapping[str, str]] = {
    "SSL_CERT_FILE": "OpenSSL, Python, Go, Ruby, Rust, curl",
    "REQUESTS_CA_BUNDLE": "requests",
    "CURL_CA_BUNDLE": "curl, requests",
    "NODE_EXTRA_CA_CERTS": "Node",
    "AWS_CA_BUNDLE": "AWS SDKs",
    "DENO_CERT": "Deno",
    "GIT_SSL_CAINFO": "git",
    "CARGO_HTTP_CAINFO": "cargo",
    "PIP_CERT": "pip",
    "HTTPLIB2_CA_CERTS": "httplib2",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "gRPC",
    "NIX_SSL_CERT_FILE": "Nix",
    "PERL_LWP_SSL_CA_FILE": "Perl",
    "npm_config_cafile": "npm",
}
#: Variables that programs of this API read their key from.
KEYS: Final = ("COMETAPI_KEY", "COMETAPI_API_KEY", "COMET_API_KEY", "OPENAI_API_KEY")
#: Variables that lead programs to a proxy, in the spelling of each.
_PROXIES: Final = re.compile(r"(?i)^(npm_config_)?(https?_?|all_|ftp_|no_?)proxy$")
#: The shortest key that could be a real one; arbitrary.
_MIN_KEY_LENGTH: Final = 16
#: A key of this API and of its neighbours.
_REAL_KEY: Final = re.compile(rf"sk-[A-Za-z0-9_-]{{{_MIN_KEY_LENGTH},}}")
#: Names of key variables of other services, whose keys a program of this API may send as well.
_KEY_NAME: Final = re.compile(r"(?i)(^|_)API_?KEY$")

#: Where systems keep the authorities that are trusted by default: files, and directories that OpenSSL searches.
_SYSTEM_BUNDLES: Final = (
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/usr/lib/ssl/cert.pem",
)
_SYSTEM_DIRECTORY: Final = "/etc/ssl/certs"


@dataclass(slots=True)
class ProgramEnvironment:
    """The variables of a program, and what was changed for it."""

    values: dict[str, str]
    #: Names of variables whose key was replaced, and of proxies that were taken away or replaced.
    keys: list[str] = field(default_factory=list)
    proxies: list[str] = field(default_factory=list)


class TrustFiles:
    """The files with our authority, in a directory that the run removes. None of them is secret."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self.directory = directory
        #: A directory as /etc/ssl/certs is.
        self.certificates = directory / "certs"
        self.bundle = self.certificates / "ca-certificates.crt"
        self.trust_store = self.certificates / "java" / "cacerts"
        self.trust_store.parent.mkdir(parents=True)
        self.bundle.write_bytes(authority.pem)
        self.certificates.joinpath(subject_hash(AUTHORITY_NAME)).write_bytes(authority.pem)
        self.trust_store.write_bytes(authority.trust_store())

    def binds(self) -> list[tuple[str, str]]:
        """Return what takes the place of the system's trust store in a mount namespace, as source and target."""
        bundles = [(str(self.bundle), target) for target in _SYSTEM_BUNDLES if Path(target).is_file()]
        directories = [(str(self.certificates), _SYSTEM_DIRECTORY)] if Path(_SYSTEM_DIRECTORY).is_dir() else []
        return [*bundles, *directories]


def program_environment(
    environment: Mapping[str, str], trust: TrustFiles, *, key: str | None, proxy: str = ""
) -> ProgramEnvironment:
    """Return the environment for a program: our authority, `key` unless None, and `proxy` or no proxy at all."""
    result = ProgramEnvironment(dict(environment))
    values = result.values
    for name in [name for name in values if _PROXIES.match(name)]:
        del values[name]
        result.proxies.append(name)
    if key is not None:
        result.keys = [name for name, value in values.items() if name not in KEYS and _is_key(name, value)]
        values |= dict.fromkeys([*KEYS, *result.keys], key)
        result.keys = [name for name in [*KEYS, *result.keys] if environment.get(name, key) != key]
    values |= dict.fromkeys(TRUST_FILES, str(trust.bundle)) | {"SSL_CERT_DIR": str(trust.certificates)}
    # Node: what NODE_EXTRA_CA_CERTS names would come on top of its built-in authorities.
    _append(values, "NODE_OPTIONS", "--use-openssl-ca")
    java = {"": str(trust.trust_store), "Type": "PKCS12", "Password": TRUST_STORE_PASSWORD}
    options = (f"-Djavax.net.ssl.trustStore{name}={value}" for name, value in java.items())
    _append(values, "JAVA_TOOL_OPTIONS", " ".join(options))
    if proxy:
        _use_proxy(values, proxy)
    return result


def is_real_key(text: str) -> bool:
    """Return whether a text looks like a key of this API."""
    return _REAL_KEY.fullmatch(text) is not None


def hide_keys(text: str) -> str:
    """Return a text with each key of this API replaced by its fingerprint."""
    return _REAL_KEY.sub(lambda match: f"({fingerprint(match[0])})", text)


def _is_key(name: str, value: str) -> bool:
    return is_real_key(value) or (_KEY_NAME.search(name) is not None and len(value) >= _MIN_KEY_LENGTH)


def _append(values: dict[str, str], name: str, option: str) -> None:
    values[name] = f"{values[name]} {option}" if values.get(name) else option


def _use_proxy(values: dict[str, str], proxy: str) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        values[name] = values[name.lower()] = proxy
    values["NO_PROXY"] = values["no_proxy"] = "localhost,127.0.0.1,::1"
    values["NODE_USE_ENV_PROXY"] = "1"  # Node 22.21 and newer; older ones know no proxy
    host, _, port = proxy.removeprefix("http://").rpartition(":")
    options = [f"-D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port}" for scheme in ("http", "https")]
    _append(values, "JAVA_TOOL_OPTIONS", " ".join(options))
