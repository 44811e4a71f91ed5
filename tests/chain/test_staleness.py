"""What Dagster's UI calls stale is what today's code and inputs would give anew."""

from dataclasses import replace

import dagster as dg
from dagster._utils.test.data_versions import get_stale_status_resolver

from nexus_pipeline.chain import build_chain
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.steps import CHAIN
from tests.running import drop, srt
from tests.speech import SENTENCES


def statuses(instance, chain, item):
    resolver = get_stale_status_resolver(instance, [chain])
    return {s: resolver.get_status(dg.AssetKey(s), item.id).value for s in STEPS}


def test_all_is_fresh_after_a_run_and_after_its_repetition(runs, parts):
    [item] = runs.add(drop(parts, "one.srt", srt(*SENTENCES[:2]), kind=Kind.TEXT))
    runs.go([item])
    assert set(statuses(runs.instance, runs.chain, item).values()) == {"FRESH"}
    runs.go([item])
    assert set(statuses(runs.instance, runs.chain, item).values()) == {"FRESH"}


def test_a_new_code_version_makes_its_step_stale_until_it_is_done_again(runs, parts):
    [item] = runs.add(drop(parts, "one.srt", srt(*SENTENCES[:2]), kind=Kind.TEXT))
    runs.go([item])
    newer = [replace(s, code_version="next") if s.name == "enrichment" else s for s in CHAIN]
    chain = build_chain(64, newer)
    assert statuses(runs.instance, chain, item)["enrichment"] == "STALE"
    assert statuses(runs.instance, chain, item)["transcript"] == "FRESH"
    replace(runs, chain=chain).go([item])
    assert set(statuses(runs.instance, chain, item).values()) == {"FRESH"}


def test_a_step_done_anew_alone_makes_those_after_it_stale(runs, parts):
    [item] = runs.add(drop(parts, "one.srt", srt(*SENTENCES[:2]), kind=Kind.TEXT))
    runs.go([item])
    newer = [replace(s, code_version="next") if s.name == "transcript" else s for s in CHAIN]
    chain = build_chain(64, newer)
    replace(runs, chain=chain).go([item], selection=["transcript"])
    now = statuses(runs.instance, chain, item)
    assert (now["transcript"], now["enrichment"], now["raw"]) == ("FRESH", "STALE", "FRESH")
