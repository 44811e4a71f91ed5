"""Names that a store of blobs must take as they are, and a few words about stores."""

from nexus_pipeline.blobs import open_blobs
from tests.contracts.s3_server import BUCKET, S3Server

MIB = 1 << 20
NAMES = [
    "a b.txt",
    'it\'s "quoted".txt',
    "emoji 😀 日本.mp4",
    "-rf",
    "--help",
    "per%cent",
    "per%20cent",
    "ha#sh",
    "qu?estion",
    "am&p=plus+x",
    "tilde~",
    "back\\slash",
    "a..b",
    "...",
    ".hidden",
    "end.",
    "trailing ",
    " leading",
    "[br]{c}<x>|^`*:",
    "name#1",
    "cafe\u0301 and caf\u00e9",
    "x" * 255,
    "ö" * 127,
]


def open_s3(server: S3Server, prefix: str):
    return open_blobs(f"s3://{BUCKET}/{prefix}", s3_endpoint=server.endpoint, s3_options=server.options)


def keys(blobs, prefix=""):
    return sorted(info.key for info in blobs.under(prefix))
