"""Modules of the dashboard as one script, for a page that is a file of its own and so cannot import any."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any, Final

from mockveo.dashboard import files

_IMPORT: Final = re.compile(r'^import \{([^}]*)\} from "\./([\w.]+)";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:const|class|function|async function) (\w+))", re.MULTILINE)
#: The exports of the vendored library, at its end.
_EXPORTS: Final = re.compile(r"export\{([^}]*)\};\s*$")


def bundled(*names: str) -> str:
    """Return modules as one script, which leaves their exports in `modules`; each may import those before it."""
    return "\n".join(["const modules = {};", *map(_wrapped, names)])


def _wrapped(name: str) -> str:
    text = files.text(name)
    exported = {match[1]: match[1] for match in _EXPORT.finditer(text)}
    last = _EXPORTS.search(text)
    if last is not None:
        text = text[: last.start()]
        for pair in last[1].split(","):
            own, _, public = pair.partition(" as ")
            exported[public] = own
    text = _IMPORT.sub(lambda match: f'const {{{match[1].replace(" as ", ": ")}}} = modules["{match[2]}"];', text)
    text = _EXPORT.sub("", text)
    shared = ", ".join(f"{public}: {own}" for public, own in exported.items())
    return f'modules["{name}"] = (() => {{\n{text}\nreturn {{ {shared} }};\n}})();'


def policy_hash(text: str) -> str:
    """Return the hash by which the policy of a page allows an inline script or style, and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def embedded(data: Any) -> str:
    """Return JSON for a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
