"""The provider's key is found at the vendor and nowhere else: not in answers, logs at debug level, or command lines."""

from collections.abc import Iterator

import grpc
import pytest
from fleet import KEY, Fleet, fleet

from antiphon_conformance.calling import Ask, limits
from antiphon_conformance.vendor.scenes import Scene
from antiphon_conformance.vendor.stage import Vendor

PROMPT = "prompt-canary-9c41"


@pytest.fixture(scope="module")
def running(vendor: Vendor) -> Iterator[Fleet]:
    with fleet(vendor, 1) as running:
        yield running


async def test_neither_key_nor_prompt_is_written_anywhere(running: Fleet, vendor: Vendor) -> None:
    scripts = [*vendor.wire.echoing(KEY).values(), *(refusal.script() for refusal in vendor.wire.refusals.values())]
    scripts += [Scene.PLAIN, Scene.GARBAGE_LATE, Scene.RST_MID_EVENT, Scene.SILENT_FIRST]
    seen = []
    async with grpc.aio.insecure_channel(running.target.address) as channel:
        for streamed in (False, True):
            ask = Ask(channel, running.target, streamed=streamed)
            for script in scripts:
                request = ask.request(vendor.play(script).model, PROMPT)
                # Through the router a refused account is out for a while; either way nothing may be told.
                seen.append((await ask.send(limits(request, first_event=0.3))).everything())
    assert vendor.wire.key(vendor.witness.exchanges[-1].request) == KEY
    logs = [program.log() + program.command_line() for program in running.programs]
    for text in (*seen, *logs):
        assert KEY not in text
        assert PROMPT not in text
