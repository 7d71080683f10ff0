"""Putting text, data and scripts into one HTML file so that nothing of it can break out."""

import base64
import hashlib
import json
from collections.abc import Iterable
from html import escape
from typing import Any

# Inside <script> an HTML parser looks for "</script" and "<!--" even within JSON strings; U+2028
# and U+2029 end a line in older JavaScript.
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def text(value: object) -> str:
    """Text for HTML, in content and in quoted attributes."""
    return escape(str(value), quote=True)


def data(value: Any) -> str:
    """JSON for a <script type="application/json">. Raises ValueError for NaN."""
    compact = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return compact.translate(_ESCAPES)


def policy(scripts: Iterable[str]) -> str:
    """A Content-Security-Policy under which these scripts run, no other, and nothing is fetched."""
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
