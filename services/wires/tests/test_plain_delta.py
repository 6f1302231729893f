import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon_wires.plain_delta import PlainDelta


def openai(text, *, obfuscation="aB3", **delta):
    raw = json.dumps({"content": "@", **delta}).replace('"@"', text)
    padding = f',"obfuscation":"{obfuscation}"' if obfuscation else ""
    data = f'{{"id":"c","choices":[{{"index":0,"delta":{raw},"finish_reason":null}}],"usage":null{padding}}}'
    return f"data: {data}\n\n".encode()


def bare(text):
    return openai(text, obfuscation="")


def anthropic(text, padding=""):
    data = f'{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":{text}}}}}'
    return f"event: content_block_delta\ndata: {data}{padding}\n\n".encode()


def cohere(text):
    return (
        f'data: {{"type":"content-delta","index":0,"delta":{{"message":{{"content":{{"text":{text}}}}}}}}}\n\n'.encode()
    )


CONTENT = ("choices", 0, "delta", "content")
WIRES = {
    openai: CONTENT,
    bare: CONTENT,
    anthropic: ("delta", "text"),
    cohere: ("delta", "message", "content", "text"),
}


def learned(block, path=CONTENT):
    payload = block.rpartition(b"data: ")[2][:-2]
    return PlainDelta.learn(block, payload, json.loads(payload), path)


def text(plain, *blocks):
    """What is read of `blocks`, and what is left of them."""
    data = b"".join(blocks)
    found, at = plain.text(data, 0)
    return found, data[at:]


TEXTS = [
    '"text"',
    '"b"',
    '""',
    '"\\"}, \\\\"',
    '"\\u0041\\ud83d\\ude00"',
    '"日本"',
    '"\\"obfuscation\\":\\"x\\"}"',
    '"content"',
    '"text"',
]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("literal", TEXTS)
def test_a_run_of_events_that_differ_in_their_text_only(wire, literal):
    for first in ('"a"', literal):
        plain = learned(wire(first), WIRES[wire])
        assert text(plain, wire(literal)) == (json.loads(literal), b"")
        assert text(plain, wire('"x"'), wire(literal), wire('"y"')) == (f"x{json.loads(literal)}y", b"")
        assert text(plain, wire(literal), b": ping\n\n") == (json.loads(literal), b": ping\n\n")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.booleans(), st.sampled_from(list(WIRES)))
def test_any_texts(texts, ascii_only, wire):
    plain = learned(wire('"a"'), WIRES[wire])
    blocks = [wire(json.dumps(one, ensure_ascii=ascii_only)) for one in texts]
    assert text(plain, *blocks) == ("".join(texts), b"")
    head = wire('"b"')
    assert plain.text(head + b"".join(blocks), len(head)) == ("".join(texts), len(head) + sum(map(len, blocks)))


ODD = [
    openai('"b"', role="assistant"),
    openai('"b"').replace(b'"id":"c"', b'"id":"d"'),
    openai('"b"').replace(b"null}]", b'"stop"}]'),
    openai('"b"').replace(b'"usage":null', b'"usage":{}'),
    openai('"b"', obfuscation='x","error":"y'),
    openai('"b"', obfuscation="\\"),
    openai("7"),
    openai("null"),
    openai('"b","x":"y"'),
    openai('"b" "c"'),
    openai('"\\ud83d"'),
    openai('"\\x"'),
    openai('"b\nc"'),
    openai('"b'),
    openai("").replace(b'"aB3"', b'""'),
    openai('"b"').replace(b'"b"', b'"\xff"'),
    openai('"b"').replace(b"data: ", b"data:"),
    openai('"b"')[:-3] + b"\n\n",
    b"event: x\n" + openai('"b"'),
    b"\n\n",
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("obfuscation", ["x", ""])
def test_an_event_that_differs_in_anything_else_ends_the_run(odd, obfuscation):
    good = openai('"a"', obfuscation=obfuscation)
    plain = learned(good)
    odd = odd if obfuscation else odd.replace(b',"obfuscation":"aB3"', b"")
    assert text(plain, odd) == ("", odd)
    assert text(plain, good, good, odd, good) == ("aa", odd + good)


@pytest.mark.parametrize("pair", [('"x', 'y"'), ('"x","y"', ""), ("", '"x","y"'), ('"x', '"'), ('"x",', '"y"')])
def test_two_events_that_are_none_pass_for_no_two_texts(pair):
    good, odd = anthropic('"a"'), b"".join(map(anthropic, pair))
    assert text(learned(good, WIRES[anthropic]), good, odd, good) == ("a", odd + good)


@pytest.mark.parametrize("wire", [bare, anthropic, cohere])
def test_the_run_is_cut_where_all_between_two_texts_is_the_same(wire):
    """Not where its first bytes are followed by as many others."""
    block = wire('"a"')
    plain = learned(block, WIRES[wire])
    other = block.replace(b'"index":0', b'"index":1')
    assert text(plain, block, other, block) == ("a", other + block)
    assert text(plain, block, block, other) == ("aa", other)
    tail = block.partition(b'"a"')[2]
    inner = json.dumps(tail.decode()).encode().decode()
    assert text(plain, block, wire(inner), block) == (f"a{tail.decode()}a", b"")


def test_padding_differs_from_event_to_event():
    plain = learned(anthropic('"a"'), WIRES[anthropic])
    blocks = [anthropic(f'"{number}"', " " * number) for number in (0, 3, 1, 0, 0, 2)]
    assert text(plain, *blocks) == ("031002", b"")
    assert text(learned(blocks[1], WIRES[anthropic]), *blocks) == ("031002", b"")
    plain = learned(openai('"a"', obfuscation="a"))
    blocks = [openai(f'"{number}"', obfuscation=pad) for number, pad in enumerate(["Yz9", "", "a-_b", "x"])]
    assert text(plain, *blocks[2:], *blocks[:1]) == ("230", b"")
    assert text(plain, *blocks) == ("0", b"".join(blocks[1:]))


def test_the_place_of_the_text_is_proven():
    decoy = b'{"id":"x","note":"\\"content\\":","choices":[{"x":{"content":"a"},"delta":{"content":"a"}}]}'
    decoy = b"data: " + decoy + b"\n\n"
    plain = learned(decoy)
    assert text(plain, decoy.replace(b'"delta":{"content":"a"', b'"delta":{"content":"b"')) == ("b", b"")
    other = decoy.replace(b'"x":{"content":"a"', b'"x":{"content":"b"')
    assert text(plain, other) == ("", other)
    twice = b'data: {"choices":[{"delta":{"content":"a","content":"b"}}]}\n\n'
    assert text(learned(twice), twice) == ("b", b"")
    nowhere = b'data: {"choices":[{"delta":{"cont\\u0065nt":"a"}}]}\n\n'
    assert learned(nowhere) is None
    cut = b'data: {"\\"content":"x","choices":[{"delta":{"cont\\u0065nt":"a"}}],"b":"\\"content\\":\\"x"}\n\n'
    assert learned(cut) is None


def test_what_only_a_tolerant_reader_reads_is_not_learned_from():
    assert learned(b'data: {"choices":[{"delta":{"content":"a"}}],"x":1e999}\n\n') is None


def test_an_event_whose_data_does_not_end_it_is_not_learned_from():
    payload = bare('"a"')[len(b"data: ") : -2]
    value = json.loads(payload)
    for block in (b"data: " + payload + b"\nevent: x\n\n", payload, b""):
        assert PlainDelta.learn(block, payload, value, CONTENT) is None
    late = b"id: 1\ndata:" + payload + b"\n\n"
    assert text(PlainDelta.learn(late, payload, value, CONTENT), late, late) == ("aa", b"")
