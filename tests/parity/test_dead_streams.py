"""A stream that its vendor never finished is a failure with usage, whoever the vendor; and the count would see it."""

from collections import Counter

import dead_streams
import parity_file
import pytest

from antiphon.llm.v1 import response_pb2, usage_pb2
from antiphon_conformance import bindings, names
from antiphon_conformance.deployed import DeployedOnWire
from antiphon_conformance.outcome import Outcome, Target

# One speaker of each wire; `make parity` sends more of them through every service.
BOUND = bindings.on_wires(parity_file.ROOT)
WIRES = [one for one in BOUND if one.provider in ("anthropic", "cohere", "openai")]
SHARE = 16
Record = response_pb2.ResponseEnd


@pytest.mark.parametrize("bound", WIRES, ids=lambda bound: bound.__name__)
def test_none_looks_finished_and_all_have_usage(bound: type[DeployedOnWire]) -> None:
    tally = dead_streams.run(SHARE, [bound])
    assert tally.wrong == []
    assert (tally.count, tally.reported_finished, tally.without_usage) == (SHARE, 0, 0)
    assert tally.endings == dict.fromkeys(dead_streams.ENDINGS, 2)


def test_streams_are_repeatable_and_each_binding_gets_every_ending_both_ways() -> None:
    assert len(BOUND) >= 5
    wire = BOUND[0].wire
    assert dead_streams.script(wire, 5) == dead_streams.script(wire, 5) != dead_streams.script(wire, 13)
    for place in range(len(BOUND)):
        sent = dead_streams.share(place, len(BOUND))
        ways = Counter((dead_streams.script(wire, one)[0], one // len(dead_streams.ENDINGS) % 2) for one in sent)
        assert len(ways) == 2 * len(dead_streams.ENDINGS)


@pytest.mark.parametrize(
    ("record", "finished", "without_usage"),
    [
        (Record(outcome=Record.OUTCOME_COMPLETED), 1, 1),
        (Record(outcome=Record.OUTCOME_INCOMPLETE, usage=usage_pb2.Usage(source=1)), 1, 0),
        (Record(outcome=Record.OUTCOME_FAILED), 0, 1),
        (Record(outcome=Record.OUTCOME_FAILED, usage=usage_pb2.Usage(output_tokens=1)), 0, 1),
        (Record(outcome=Record.OUTCOME_FAILED, usage=usage_pb2.Usage(source=1)), 0, 0),
    ],
)
def test_what_is_counted(record: Record, finished: int, without_usage: int) -> None:
    tally = dead_streams.Tally()
    tally.add("one", "RST", Outcome(trailers=[(names.END, record.SerializeToString())]), Target(""))
    assert (tally.count, tally.reported_finished, tally.without_usage) == (1, finished, without_usage)
    told = "\n".join(tally.wrong)
    assert ("reported as finished" in told) == bool(finished)
    assert ("no usage" in told) == bool(without_usage)
    assert tally.report()["endings"] == {"RST": 1}
