"""How the tests of the codec read a whole stream: as events, and as the answer they make."""

import json

from antiphon.llm.v1 import response_pb2
from antiphon_contract.fold import Fold
from antiphon_provider_anthropic.codec import MessageStream


def events(*pieces, **kwargs):
    """Everything that a whole stream makes; each piece is a read of its own."""
    stream = MessageStream(**kwargs)
    made = []
    for piece in pieces:
        made += stream.feed(piece)
        stream.check()
    return made + stream.close()


def fold(made):
    folded = Fold()
    folded.feed_events(made)
    return folded


def answer(*pieces, **kwargs):
    folded = fold(events(*pieces, **kwargs))
    [candidate] = folded.response().candidates
    return candidate


def parts(*pieces, **kwargs):
    return list(answer(*pieces, **kwargs).message.parts)


def kinds(made):
    return [one.WhichOneof("kind") for one in made]


def natives(made):
    return [(one.native_event.name, json.loads(one.native_event.data)) for one in made if one.HasField("native_event")]


def merged(made):
    """The events, with the neighbouring deltas of a part as one: where they are cut is the network's choice."""
    whole = []
    for one in made:
        kind = one.WhichOneof("kind")
        before = whole[-1] if whole else None
        same = before is not None and before.WhichOneof("kind") == kind and before.part_index == one.part_index
        if same and kind.endswith("_delta"):
            setattr(before, kind, getattr(before, kind) + getattr(one, kind))
            continue
        copied = response_pb2.StreamEvent()
        copied.CopyFrom(one)
        whole.append(copied)
    return whole
