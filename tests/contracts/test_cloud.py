"""The line to a vendor: retries, the waits it asks for, the breaker, and what is let go."""

import gc
import threading
import time
import weakref

import pytest

from nexus_pipeline.domain.errors import EngineBusy, EngineDown, EngineRefused, NexusError
from nexus_pipeline.engines.cloud import Barred, Patience
from tests.contracts.cloud_parts import KeyRefused, Outage, TooMany, Unsafe, Vendor, line, never, outage


def test_what_is_momentary_is_tried_again_with_growing_waits(tmp_path):
    vendor = Vendor(TooMany(), Outage(), TooMany())
    assert line(tmp_path).call(vendor, tokens=1, cancelled=never) == "answer"
    assert len(vendor.at) == 4
    for wait_s, least_s in zip(vendor.waits_s, (0.05, 0.1, 0.2), strict=True):
        assert least_s <= wait_s < least_s + 0.5


def test_after_four_tries_the_error_is_ours(tmp_path):
    vendor = Vendor(*[TooMany()] * 9)
    with pytest.raises(EngineBusy):
        line(tmp_path).call(vendor, tokens=1, cancelled=never)
    assert len(vendor.at) == 4


@pytest.mark.parametrize(("failure", "kind"), [(Unsafe(), EngineRefused), (KeyRefused(), EngineDown)])
def test_what_trying_again_does_not_help_is_asked_once(tmp_path, failure, kind):
    vendor = Vendor(failure)
    with pytest.raises(kind):
        line(tmp_path).call(vendor, tokens=1, cancelled=never)
    assert len(vendor.at) == 1


def test_what_is_no_error_of_the_vendors_passes_as_it_is(tmp_path):
    with pytest.raises(KeyError, match="ours"):
        line(tmp_path).call(Vendor(KeyError("ours")), tokens=1, cancelled=never)


def test_errors_carry_no_trace_of_the_vendors(tmp_path):
    """Its message may repeat words of the item, its request holds the key."""
    with pytest.raises(EngineRefused) as caught:
        line(tmp_path).call(Vendor(Unsafe("xylophone")), tokens=1, cancelled=never)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_the_wait_that_is_asked_for_is_kept_by_all_threads(tmp_path):
    one = line(tmp_path)
    vendor = Vendor(TooMany(1.0))
    second_at: list[float] = []

    def later() -> None:
        one.call(lambda: second_at.append(time.monotonic()), tokens=1, cancelled=never)

    began = time.monotonic()
    first = threading.Thread(target=lambda: one.call(vendor, tokens=1, cancelled=never))
    first.start()
    while len(vendor.at) < 1:
        time.sleep(0.01)
    time.sleep(0.2)
    later()
    first.join()
    assert vendor.at[1] - vendor.at[0] == pytest.approx(1.0, abs=0.4)
    assert vendor.at[1] - vendor.at[0] >= 1.0
    assert second_at[0] - began >= 1.0


def test_a_long_wait_is_not_sat_out_and_handed_on(tmp_path):
    one = line(tmp_path)
    vendor = Vendor(TooMany(90.0))
    began = time.monotonic()
    with pytest.raises(EngineBusy) as caught:
        one.call(vendor, tokens=1, cancelled=never)
    assert caught.value.retry_after_s == 90.0
    with pytest.raises(EngineBusy) as again:  # the next one is not even asked
        one.call(vendor, tokens=1, cancelled=never)
    assert 80 < (again.value.retry_after_s or 0) <= 90
    assert len(vendor.at) == 1
    assert time.monotonic() - began < 2


# ---------------------------------------------------------------- the breaker


def test_the_breaker_opens_after_repeated_outage_and_closes_again(tmp_path):
    one = line(tmp_path)
    vendor = Vendor(*[Outage()] * 3)
    assert outage(one, vendor).blocked == "engine_down"
    assert len(vendor.at) == 3  # the fourth try found it open
    began = time.monotonic()
    assert "not answered 3 times in a row" in str(outage(one, vendor))
    assert "in our words" in str(outage(one, vendor))
    assert time.monotonic() - began < 0.5
    assert len(vendor.at) == 3
    time.sleep(1.1)
    assert one.call(vendor, tokens=1, cancelled=never) == "answer"
    assert one.call(vendor, tokens=1, cancelled=never) == "answer"


def test_an_answer_between_outages_keeps_the_breaker_closed(tmp_path):
    one = line(tmp_path, Patience(tries=1, outages=3, open_s=60))
    for failure in (Outage(), Outage(), Unsafe(), Outage(), Outage(), TooMany(), Outage(), Outage()):
        with pytest.raises(NexusError):
            one.call(Vendor(failure), tokens=1, cancelled=never)
    assert one.call(Vendor(), tokens=1, cancelled=never) == "answer"


def test_a_refused_key_is_no_outage(tmp_path):
    one = line(tmp_path)
    for _ in range(5):
        with pytest.raises(Barred):
            one.call(Vendor(KeyRefused()), tokens=1, cancelled=never)
    assert one.call(Vendor(), tokens=1, cancelled=never) == "answer"


def test_one_call_alone_tries_whether_the_vendor_is_back(tmp_path):
    one = line(tmp_path, Patience(tries=1, outages=2, open_s=0.5), calls=8)
    for _ in range(2):
        outage(one, Vendor(Outage()))
    time.sleep(0.6)
    asked: list[float] = []
    answers: list[str] = []

    def slow() -> str:
        asked.append(time.monotonic())
        time.sleep(0.6)
        return "answer"

    def call() -> None:
        try:
            answers.append(one.call(slow, tokens=1, cancelled=never))
        except EngineDown:
            answers.append("down")

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    assert sorted(answers) == ["answer", *["down"] * 5]


def test_a_trial_that_fails_opens_it_again_and_many_threads_count_well(tmp_path):
    one = line(tmp_path, Patience(tries=1, outages=20, open_s=0.5), calls=16)

    def fail() -> str:
        raise Outage

    def many(n: int) -> None:
        for _ in range(n):
            with pytest.raises(EngineDown):
                one.call(fail, tokens=1, cancelled=never)

    threads = [threading.Thread(target=many, args=(5,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    vendor = Vendor(Outage())
    assert "20 times in a row" in str(outage(one, vendor))
    assert vendor.at == []
    time.sleep(0.6)
    outage(one, vendor)
    assert len(vendor.at) == 1
    assert "20 times in a row" in str(outage(one, vendor))


def test_what_a_call_held_is_let_go(tmp_path):
    """A breaker that keeps the last failure must not keep the request with its sound."""

    class Sound:
        pass

    one = line(tmp_path, Patience(tries=1))
    sound = Sound()
    kept = weakref.ref(sound)

    def fail(held: Sound = sound) -> str:
        raise Outage(held)

    outage(one, fail)
    del sound, fail
    time.sleep(0.3)
    gc.collect()
    assert kept() is None
