"""A form of multipart/form-data as WHATWG HTML writes it, for libraries that have none."""

from __future__ import annotations

from uuid import uuid4

from course import Request


def multipart(request: Request) -> tuple[bytes, dict[str, str]]:
    """The body of a request, and the headers that go with it."""
    boundary = uuid4().hex
    parts = [_part(f'name="{name}"', "", value.encode()) for name, value in request.fields.items()]
    parts += [
        _part(f'name="input_reference"; filename="{_quoted(file.filename)}"', file.content_type, file.data)
        for file in request.files
    ]
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), part) for part in parts)
    return body + b"--%b--\r\n" % boundary.encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def _part(parameters: str, content_type: str, data: bytes) -> bytes:
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    return f"Content-Disposition: form-data; {parameters}\r\n{kind}\r\n".encode() + data


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
