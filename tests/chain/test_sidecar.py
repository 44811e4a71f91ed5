"""`sidecar` as a speech engine: the transcript beside the file, else the next of the list, else an answer why not."""

from nexus_pipeline.domain.states import State
from nexus_pipeline.results import transcript_of
from tests.running import drop, srt
from tests.speech import SENTENCES, SPEECH, speak


def heard(runs, parts, tmp_path, engines, *, beside=False):
    if beside:
        parts.inbox.put("talk.srt", srt(*SENTENCES[3:5]))
    sound = speak(tmp_path / "talk.wav", SENTENCES[:1])
    new = drop(parts, "talk.wav", sound, sidecar_key="talk.srt" if beside else None, engines={"transcript": engines})
    [item] = runs.add(new)
    runs.go([item])
    return runs.now(item)


def said(item, parts):
    return [segment.text for segment in transcript_of(item, parts).segments]


def test_it_is_the_transcript_beside_the_file(runs, parts, tmp_path):
    item = heard(runs, parts, tmp_path, "sidecar", beside=True)
    assert said(item, parts) == list(SENTENCES[3:5])


def test_without_one_the_next_engine_of_the_list_hears_and_it_is_said_why(runs, parts, tmp_path):
    item = heard(runs, parts, tmp_path, f"sidecar,{SPEECH}")
    assert said(item, parts) == [SENTENCES[0]]
    step = item.step("transcript")
    assert (step.engine, step.reason) == (SPEECH, "sidecar: engine_failed")


def test_with_one_the_next_engine_is_not_asked(runs, parts, tmp_path):
    item = heard(runs, parts, tmp_path, f"sidecar,{SPEECH}", beside=True)
    assert said(item, parts) == list(SENTENCES[3:5])
    assert item.step("transcript").reason is None


def test_alone_and_without_one_it_says_what_is_missing(runs, parts, tmp_path):
    step = heard(runs, parts, tmp_path, "sidecar").step("transcript")
    assert (step.state, step.error_code, step.retryable) == (State.FAILED, "engine_failed", False)
    assert "no transcript lies beside the file" in step.error_message
