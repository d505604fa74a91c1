"""What clients made of our certificate, by their TLS alerts, with the remedy for each kind."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath
from typing import Final

from mockveo.text import counted

#: What OpenSSL calls the alerts of clients that do not accept a certificate. Source: RFC 8446 section 6.2.
_UNTRUSTED: Final = (
    *("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "UNSUPPORTED_CERTIFICATE", "DECRYPT_ERROR"),
)
_PYTHON: Final = "SSL_CERT_FILE (REQUESTS_CA_BUNDLE of requests); trust_env=False and `verify=` override it"
#: Beginning of a program's name -> the variable from which its runtime reads authorities, and what overrides it.
_RUNTIMES: Final = {
    "python": _PYTHON,
    "pytest": _PYTHON,
    "uv": "SSL_CERT_FILE",
    "node": "SSL_CERT_FILE with NODE_OPTIONS=--use-openssl-ca; `ca:` in the code overrides it",
    "npm": "npm_config_cafile",
    "npx": "NODE_EXTRA_CA_CERTS",
    "bun": "NODE_EXTRA_CA_CERTS",
    "deno": "DENO_CERT",
    "java": "JAVA_TOOL_OPTIONS with -Djavax.net.ssl.trustStore",
    "mvn": "JAVA_TOOL_OPTIONS with -Djavax.net.ssl.trustStore",
    "gradle": "JAVA_TOOL_OPTIONS with -Djavax.net.ssl.trustStore",
    "curl": "CURL_CA_BUNDLE; --cacert overrides it",
    "git": "GIT_SSL_CAINFO",
    "cargo": "CARGO_HTTP_CAINFO",
    "ruby": "SSL_CERT_FILE",
    "go": "SSL_CERT_FILE",
}
_ANY_RUNTIME: Final = "SSL_CERT_FILE"


class Handshakes:
    """The TLS connections of a run. The methods but the last are called from the server's thread."""

    def __init__(self) -> None:
        #: Connections on which no request came, and no alert.
        self._silent = 0
        #: OpenSSL's name of the reason -> how often.
        self._failed: Counter[str] = Counter()

    def opened(self) -> None:
        """Note a connection."""
        self._silent += 1

    def spoke(self) -> None:
        """Note that data came."""
        self._silent -= 1

    def failed(self, reason: str) -> None:
        """Note a handshake that failed."""
        self._silent -= 1
        self._failed[reason] += 1

    def problems(self, command: str) -> list[str]:
        """Return what went wrong, each with what to do; `command` is the name of the program."""
        reasons = {reason: any(word in reason for word in _UNTRUSTED) for reason in self._failed}
        untrusted = sum(self._failed[reason] for reason, is_untrusted in reasons.items() if is_untrusted)
        other = [reason for reason, is_untrusted in reasons.items() if not is_untrusted]
        messages = []
        if untrusted:
            messages.append(
                f"the program refused {counted(untrusted, 'TLS handshake')}, because it does not trust our certificate:"
                f" it pins another, or brings authorities of its own. {_remedy(command)}"
            )
        if other:
            names = ", ".join(f"{reason.lower().replace('_', ' ')} ({self._failed[reason]})" for reason in other)
            messages.append(f"TLS handshakes failed: {names}; expected TLS 1.2 or 1.3 with HTTP/1.1")
        if self._silent > 0:
            messages.append(
                f"the program closed {counted(self._silent, 'TLS connection')} without a request: it may not trust our"
                f" certificate, or speak HTTP/2 only. {_remedy(command)}"
            )
        return messages


def _remedy(command: str) -> str:
    name = PurePath(command).name
    variable = next((text for start, text in _RUNTIMES.items() if name.startswith(start)), _ANY_RUNTIME)
    return f"The variable of its runtime is {variable}"
