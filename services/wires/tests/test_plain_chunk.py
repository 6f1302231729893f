import json

import pytest

from antiphon_wires.openai_chat.plain_chunk import PlainChunk


def payload(text, *, obfuscation="aB3", **delta):
    raw = json.dumps({"content": "@", **delta}).replace('"@"', text)
    padding = f',"obfuscation":"{obfuscation}"' if obfuscation else ""
    return f'{{"id":"c","choices":[{{"index":0,"delta":{raw},"finish_reason":null}}],"usage":null{padding}}}'.encode()


def learned(data):
    return PlainChunk.learn(data, json.loads(data))


TEXTS = ['"b"', '""', '"\\"}, \\\\"', '"\\u0041\\ud83d\\ude00"', '"日本"', '"\\"obfuscation\\":\\"x\\"}"', '"content"']


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("padded", [True, False])
def test_a_chunk_that_differs_in_its_text_only(text, padded):
    shape = learned(payload('"a"', obfuscation="x" if padded else ""))
    assert shape.text(payload(text, obfuscation="Yz9" if padded else "")) == json.loads(text)


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_learned_from_any_text(text):
    data = payload(text)
    assert learned(data).text(data) == json.loads(text)


@pytest.mark.parametrize(
    "other",
    [
        payload('"b"', role="assistant"),
        payload('"b"').replace(b'"id":"c"', b'"id":"d"'),
        payload('"b"').replace(b"null}]", b'"stop"}]'),
        payload('"b"').replace(b'"usage":null', b'"usage":{}'),
        payload('"b"', obfuscation=""),
        payload('"b"', obfuscation='x","error":"y'),
        payload('"b"', obfuscation="\\"),
        payload('"b"') + b" ",
        payload("7"),
        payload("null"),
        payload('"b","x":"y"'),
        payload('"\\ud83d"'),
        payload('"b"').replace(b'"b"', b'"\xff"'),
        payload('"b"')[:-1],
        b"",
        b'"}',
    ],
)
def test_a_chunk_that_differs_in_anything_else(other):
    assert learned(payload('"a"')).text(other) is None


@pytest.mark.parametrize("other", [payload('"b"'), payload('"b"', obfuscation="")[:-1], payload("1", obfuscation="")])
def test_without_padding_the_end_must_be_the_same(other):
    assert learned(payload('"a"', obfuscation="")).text(other) is None


def test_the_place_of_the_text_is_proven():
    decoy = b'{"id":"x","note":"\\"content\\":","choices":[{"x":{"content":"a"},"delta":{"content":"a"}}]}'
    shape = learned(decoy)
    assert shape.text(decoy.replace(b'"delta":{"content":"a"', b'"delta":{"content":"b"')) == "b"
    assert shape.text(decoy.replace(b'"x":{"content":"a"', b'"x":{"content":"b"')) is None
    twice = b'{"choices":[{"delta":{"content":"a","content":"b"}}]}'
    assert learned(twice).text(twice) == "b"
    nowhere = b'{"choices":[{"delta":{"cont\\u0065nt":"a"}}]}'
    assert learned(nowhere) is None
    cut = b'{"\\"content":"x","choices":[{"delta":{"cont\\u0065nt":"a"}}],"b":"\\"content\\":\\"x"}'
    assert learned(cut) is None
