"""A hub on loopback that has the Parquet branches of a few data sets."""

import io
import json
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

REVISION = "0123456789abcdef0123456789abcdef01234567"
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def parquet(count=30, seed=0, columns=("image", "label"), classes=3):
    """A file as on the hub, of 4×4 grey images."""
    rng = np.random.default_rng(seed)
    images = []
    for x in rng.integers(0, 256, (count, 4, 4), np.uint8):
        file = io.BytesIO()
        Image.fromarray(x).save(file, "PNG")
        images.append({"bytes": file.getvalue(), "path": None})
    image, *labels = columns
    data = {image: pa.array(images, STRUCT)}
    features = {image: {"_type": "Image"}}
    for k, label in enumerate(labels):
        data[label] = pa.array([i % (classes - k) for i in range(count)], pa.int64())
        features[label] = {"_type": "ClassLabel", "names": [str(c) for c in range(classes - k)]}
    table = pa.table(data).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


class FakeHub:
    """`sets` are {owner/name: {path: content}}; `served` may differ from what is stated."""

    def __init__(self):
        self.sets, self.requests, self.spoil = {}, [], {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                hub.answer(self, head=False)

            def do_HEAD(self):
                hub.answer(self, head=True)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request, head):
        path = unquote(request.path.partition("?")[0])
        self.requests.append(("HEAD" if head else "GET", path))
        for repo, files in self.sets.items():
            if path == f"/api/datasets/{repo}/revision/refs/convert/parquet":
                if files is None:
                    return self._error(request, "RevisionNotFound")
                return self._json(request, {"id": repo, "sha": REVISION})
            if path.startswith(f"/api/datasets/{repo}/tree/"):
                return self._json(request, [self._entry(*item) for item in files.items()])
            prefix = f"/datasets/{repo}/resolve/{REVISION}/"
            if path.startswith(prefix):
                return self._file(request, path.removeprefix(prefix), files, head)
        return self._error(request, "RepoNotFound")

    def _entry(self, path, content):
        lfs = {"oid": sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        entry = {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
        return entry | {"lfs": lfs}

    def _file(self, request, path, files, head):
        content, stated = files[path], files[path]
        if not head and path in self.spoil:
            content = self.spoil[path](content)
        request.send_response(200)
        request.send_header("ETag", f'"{sha256(stated).hexdigest()}"')
        request.send_header("X-Repo-Commit", REVISION)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if not head:
            request.wfile.write(content)
        return None

    def _json(self, request, data):
        content = json.dumps(data).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _error(self, request, code):
        request.send_response(404)
        request.send_header("X-Error-Code", code)
        request.send_header("Content-Length", "0")
        request.end_headers()
