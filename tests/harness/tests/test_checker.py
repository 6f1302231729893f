"""Every invariant finds its violation, and nothing in what is well."""

from antiphon.llm.v1 import response_pb2
from antiphon_harness import checker
from antiphon_harness.fakellm.answers import text
from antiphon_harness.loadgen import Shot
from antiphon_harness.witness import Accepted

END = response_pb2.ResponseEnd


def shot(**members):
    whole = {"prompt": "q1", "streamed": True, "due": 0.0, "ended": 1.0, "code": "OK", "text": text(3), "ends": 1}
    return Shot(**{**whole, "outcome": END.OUTCOME_COMPLETED, "first": 0.5, "response_id": "i.1", **members})


def accepted(**members):
    return Accepted(**{"number": 1, "at": 0.1, "key": "k", "model": "m", "prompt": "q1", "ended": 1.0, **members})


def lost(**members):
    typed = {"code": "UNAVAILABLE", "reason": "STREAM_INTERRUPTED", "outcome": END.OUTCOME_FAILED, "usage_source": 2}
    return shot(**{"text": text(2), **typed, **members})


def test_a_good_call_violates_nothing():
    good = [shot()]
    assert not checker.failed(good)
    assert not checker.wrong_text(good, 3)
    assert not checker.silent(good, 3)
    assert not checker.unaccounted(good, [accepted()])
    assert not checker.orphans(good, [accepted(last_token=0.9)], 0.2)


def test_failed():
    assert checker.failed([lost()])


def test_text_that_is_lost_repeated_or_reordered():
    for wrong in (text(2), text(3) + text(1), "t1 t0 t2 "):
        assert checker.wrong_text([shot(text=wrong)], 3)
    assert not checker.wrong_text([lost()], 3)
    assert checker.wrong_text([lost(text="t1 ")], 3)


def test_a_silent_truncation():
    assert checker.silent([shot(text=text(2))], 3)
    assert checker.silent([shot(ends=0)], 3)
    assert checker.silent([shot(ends=2)], 3)
    assert checker.silent([shot(outcome=END.OUTCOME_FAILED)], 3)
    assert checker.silent([lost(grammar="a gap")], 3)


def test_a_loss_that_is_not_typed():
    assert not checker.untyped_losses([lost(), shot()])
    assert not checker.untyped_losses([lost(first=None, ends=0)])
    for wrong in ({"ends": 0}, {"reason": "UNTYPED"}, {"usage_source": 0}, {"response_id": ""}, {"outcome": 0}):
        assert checker.untyped_losses([lost(**wrong)])


def test_an_attempt_that_no_record_tells_of():
    twice = [accepted(), accepted(number=2)]
    assert checker.unaccounted([shot()], twice)
    assert not checker.unaccounted([shot(attempts=[{"backend": "a"}])], twice)


def test_an_upstream_call_that_goes_on():
    assert checker.orphans([shot()], [accepted(ended=0.0)], 0.2)
    assert checker.orphans([shot()], [accepted(ended=1.3)], 0.2)
    assert not checker.orphans([shot()], [accepted(ended=1.3)], 0.5)
    assert not checker.orphans([shot()], [accepted(prompt="another", ended=9.0)], 0.2)


def test_a_key_that_is_used_after_its_end():
    assert checker.uses_after([accepted(at=2.0)], "k", 1.0)
    assert not checker.uses_after([accepted(at=2.0)], "other", 1.0)
    assert not checker.uses_after([accepted(at=0.5)], "k", 1.0)


def test_percentiles():
    assert checker.percentile([], 99) == 0.0
    assert checker.percentile([3.0], 99) == 3.0
    assert checker.percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert checker.percentile([float(n) for n in range(101)], 99) == 99.0
    assert checker.median([]) == 0.0
    assert checker.median([1.0, 3.0, 2.0]) == 2.0
