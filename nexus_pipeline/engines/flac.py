"""Sound as FLAC in memory: what is sent to an ear elsewhere."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from nexus_pipeline.engines.pauses import RATE


def encoded(samples: npt.NDArray[np.float32]) -> bytes:
    """16 kHz mono samples, -1 to 1, as 16-bit FLAC: about half the bytes that they are as PCM."""
    import av

    whole = (np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as container:
        stream: Any = container.add_stream("flac", rate=RATE, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray(whole.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.pts = 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return out.getvalue()
