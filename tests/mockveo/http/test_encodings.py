from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockveo.http.encodings import decode

RAW = zlib.compressobj(wbits=-15)
GZIPPED = gzip.compress(b"kite", mtime=0)
DEFLATED = RAW.compress(b"kite") + RAW.flush()


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        (b"kite", "", b"kite"),
        (b"kite", "identity", b"kite"),
        (GZIPPED, "gzip", b"kite"),
        (GZIPPED, " X-GZIP ", b"kite"),
        (zlib.compress(b"kite"), "deflate", b"kite"),
        (DEFLATED, "deflate", b"kite"),
        (gzip.compress(zlib.compress(b"kite"), mtime=0), "deflate, gzip", b"kite"),
        (b"kite", "gzip", None),
        (b"", "gzip", None),
        (GZIPPED[:-9], "gzip", None),
        (b"kite", "br", None),
    ],
)
def test_decode_body_in_another_encoding_is_none(body: bytes, encoding: str, expected: bytes | None) -> None:
    assert decode(body, encoding) == expected


@given(st.binary(), st.sampled_from(["gzip", "deflate", "gzip, deflate", "br", "x"]))
def test_decode_any_bytes_never_raises(body: bytes, encoding: str) -> None:
    decode(body, encoding)
