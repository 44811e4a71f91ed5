"""The job by which people give URLs in Dagster's own page: what they say of them reaches the item."""

import pytest

from nexus_pipeline import care
from nexus_pipeline.wiring import intake

URL = "https://93.184.216.34/talk.mp3"


def ingest(runs, parts, **told):
    config = {"ops": {"request_urls": {"config": {"urls": [URL], **told}}}}
    return care.ingest.execute_in_process(
        run_config=config, instance=runs.instance, resources={"parts": parts}, raise_on_error=False
    )


def requests(parts):
    return [intake.parsed(parts.inbox.read(info.key)) for info in parts.inbox.under(intake.ASKS)]


def test_hints_and_engines_go_with_the_request(runs, parts):
    engines = {"transcript": "faster-whisper:small,openai:whisper-1", "enrichment": "none"}
    told = {"prompt": "A talk about the sky.", "vocabulary": ["Ceres", " Vesta ", "Ceres", ""], "engines": engines}
    assert ingest(runs, parts, title="Sky", tags=["talk"], language="en", **told).success
    [note] = requests(parts)
    assert (note["title"], note["tags"], note["language"]) == ("Sky", ["talk"], "en")
    assert (note["prompt"], note["vocabulary"], note["engines"]) == (told["prompt"], ["Ceres", "Vesta"], engines)


def test_nothing_that_is_not_told_is_made_up(runs, parts):
    assert ingest(runs, parts).success
    [note] = requests(parts)
    assert (note["prompt"], note["vocabulary"], note["engines"]) == (None, [], {})


@pytest.mark.parametrize(
    ("engines", "why"),
    [
        ({"embedding": "openai"}, "chooses no engine for 'embedding'"),
        ({"transcript": "babel"}, "no engine 'babel'"),
        ({"transcript": ""}, "names no engine"),
    ],
)
def test_an_engine_that_is_none_is_refused_before_anything_is_written(runs, parts, engines, why):
    done = ingest(runs, parts, engines=engines)
    assert not done.success
    [failed] = [event for event in done.all_events if event.is_step_failure]
    assert why in str(failed.step_failure_data.error)
    assert requests(parts) == []
