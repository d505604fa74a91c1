"""HTTP statuses of trouble: which are retryable, ambiguous or from an edge.

Sources: RFC 9110 section 15 for 408 and 5xx, RFC 8470 section 5.2 for 425, RFC 6585 section 4 for 429, and the pages of
the service, which advise to retry 429, 500, 503, 504 and 524. Cloudflare documents 520, 522 and 524; that it stands in
front of the service is assumed, as 524 is a status of its own.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Status(NamedTuple):
    """What an HTTP status of trouble means to a client; the same request may succeed later."""

    code: int
    #: Whether the request may have been applied: the gateway gave up waiting, or something broke.
    ambiguous: bool
    #: Whether a proxy in front of the service sends it, with a page of HTML or plain text.
    edge: bool
    source: str


#: Every status after which a client may try again.
TABLE: Final = (
    Status(408, ambiguous=False, edge=False, source="RFC 9110 section 15.5.9: the request did not arrive in time"),
    Status(425, ambiguous=False, edge=False, source="RFC 8470 section 5.2: the request was not processed yet"),
    Status(429, ambiguous=False, edge=False, source="documented: too many requests (RFC 6585 section 4)"),
    Status(500, ambiguous=True, edge=False, source="documented: retry later (RFC 9110 section 15.6.1)"),
    Status(502, ambiguous=True, edge=True, source="RFC 9110 section 15.6.3; documented for the content alone"),
    Status(503, ambiguous=False, edge=True, source="documented: no channel took the request; retry later"),
    Status(504, ambiguous=True, edge=True, source="documented: the gateway gave up waiting (RFC 9110 section 15.6.5)"),
    Status(520, ambiguous=True, edge=True, source="Cloudflare: the origin returned an empty or unexpected response"),
    Status(522, ambiguous=True, edge=True, source="Cloudflare: the connection to the origin timed out"),
    Status(524, ambiguous=True, edge=True, source="documented: the proxy gave up waiting (Cloudflare: a timeout)"),
)
RETRYABLE: Final = frozenset(status.code for status in TABLE)
#: After these a client cannot know whether a create was applied.
AMBIGUOUS: Final = frozenset(status.code for status in TABLE if status.ambiguous)
#: After these a create was not applied, and may be sent again.
REFUSED_FOR_NOW: Final = RETRYABLE - AMBIGUOUS
#: A proxy may answer these with a page instead of JSON.
FROM_EDGE: Final = frozenset(status.code for status in TABLE if status.edge)
