"""What the self-check of transcripts repairs, and that it leaves good ones alone.

Bars: word accuracy rises on what a weak decoding spoils, and does not fall where the usual one fails; of 30 good
recordings not one word changes. `python -m bench.repair [--recordings 30]`
"""

import argparse
import sys
import time
from collections.abc import Sequence

from bench.heard import NANO, SPEECH, Recording, checked, ffmpeg, heard, recordings, sentences, spoken, words, wrong
from bench.said import DATA, MODELS
from bench.told import tell
from nexus_pipeline.engines.faster_whisper import FasterWhisper

GAIN_DB = 30
"""By so much too loud: of the loud half of each wave the top is cut off."""
SOFTER_DB = 8
"""By so much the other voice is softer."""
FROM_S, TO_S = 20, 40
"""The part of a recording that is spoilt."""
GOOD, LONG = 6, 24
"""Sentences of a recording: half a minute, and a minute and a half, in which a model fails that is told its words."""


def clipped(count: int) -> list[Recording]:
    """Recorded far too loud for a while."""
    loud = f"volume={GAIN_DB}dB:enable='between(t,{FROM_S},{TO_S})'"
    return recordings(count, LONG, seed=2, name="clipped", changed=(loud, "aformat=sample_fmts=s16"))


def overlapping(count: int) -> list[Recording]:
    """Somebody else talks for a while; the words are those of the first."""
    made = []
    for n, one in enumerate(recordings(count, LONG, seed=3)):
        to = DATA / f"overlapping-{n:03d}.flac"
        if not to.exists():
            other = spoken(" ".join(sentences()[-6:]), DATA / "other.wav", "en-us+f3")
            late = f"[1:a]aresample=16000,volume=-{SOFTER_DB}dB,adelay={FROM_S * 1000},atrim=0:{TO_S}[o];"
            mix = "[0:a][o]amix=inputs=2:duration=first:normalize=0[out]"
            ffmpeg("-i", one.path, "-i", other, "-filter_complex", late + mix, "-map", "[out]", *SPEECH, to)
        made.append(Recording(to, one.said, one.seconds))
    return made


def measure(kind: str, made: Sequence[Recording], engine: FasterWhisper) -> dict[str, object]:
    """Hear, check, count wrong words before and after."""
    total = before = after = changed = repaired = left = 0
    hearing_s = checking_s = 0.0
    for one in made:
        began = time.process_time()
        first, voice = heard(engine, one)
        middle = time.process_time()
        second = checked(engine, one, first, voice)
        hearing_s += middle - began
        checking_s += time.process_time() - middle
        total += len(words(one.said))
        before += wrong(one.said, first.text)
        after += wrong(one.said, second.text)
        changed += wrong(first.text, second.text)
        repaired += len(second.coverage.repaired)
        left += len(second.coverage.findings)
        doubts = sorted(str(f.doubt) for f in second.coverage.findings)
        print(f"{kind} {one.path.name} wrong={wrong(one.said, second.text)} left={doubts}", file=sys.stderr)
    return {
        "sound": kind,
        "recordings": len(made),
        "words": total,
        "accuracy_before": 1 - before / total,
        "accuracy_after": 1 - after / total,
        "words_changed": changed,
        "spans_repaired": repaired,
        "findings_left": left,
        "hearing_cpu_s": hearing_s,
        "check_cpu_s": checking_s,
    }


def main() -> None:
    """What is good, and three kinds of sound in a weak decoding and in the usual one."""
    told = argparse.ArgumentParser()
    told.add_argument("--recordings", type=int, default=30)
    count = told.parse_args().recordings
    few = max(1, count // 5)
    plain, weak = FasterWhisper(NANO, MODELS), FasterWhisper(NANO, MODELS, previous=True)
    kinds: list[tuple[str, list[Recording]]] = [
        ("clean", recordings(few, LONG, seed=7)),
        ("clipped", clipped(few)),
        ("overlapping", overlapping(few)),
    ]
    good = measure("good", recordings(count, GOOD), plain)
    spoilt = [measure(f"{kind}, weak decoding", made, weak) for kind, made in kinds]
    usual = [measure(kind, made, plain) for kind, made in kinds[1:]]
    bars = {
        "good: not one word changed": good["words_changed"] == 0,
        **{f"{row['sound']}: fails": row["accuracy_before"] < 0.9 for row in spoilt},
        **{f"{row['sound']}: rises": row["accuracy_after"] > row["accuracy_before"] for row in spoilt},
        **{f"{row['sound']}: does not fall": row["accuracy_after"] >= row["accuracy_before"] for row in usual},
    }
    tell("repair", [good, *spoilt, *usual], bars)


if __name__ == "__main__":
    main()
