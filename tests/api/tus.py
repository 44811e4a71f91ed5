"""What tests say to the uploads' routes, in tus's words."""

import base64
import hashlib

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream"}


def metadata(**told):
    return ", ".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in told.items())


def begin(site, length, data=None, **told):
    """The answer to a creation; with the first bytes if there are any."""
    headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata(**told)}
    if data is None:
        return site.client.post("/api/uploads", headers=headers)
    return site.client.post("/api/uploads", headers={**headers, **BYTES}, content=data)


def go_on(site, where, offset, data, **headers):
    told = {**TUS, **BYTES, "Upload-Offset": str(offset), **{n.replace("_", "-"): v for n, v in headers.items()}}
    return site.client.patch(where, headers=told, content=data)


def stands(site, where):
    return site.client.head(where, headers=TUS)


def whole(site, data, **told):
    """Where an upload is that has come whole."""
    where = begin(site, len(data), **told).headers["location"]
    answer = go_on(site, where, 0, data)
    assert answer.status_code == 204, answer.text
    return where


def process(site, where, source="file", **wishes):
    body = {"source": source, "data": where.rpartition("/")[2], **wishes}
    return site.client.post("/api/media/process", json=body)


def checksum(algorithm, data):
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def growing(parts):
    """Files of uploads that are no items yet."""
    folder = parts.settings.root / "blobs" / "inbox" / ".nexus-parts" / "uploads"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
