import json

import msgspec
import pytest

from antiphon_contract.errors import CallFailure, Reason
from antiphon_wires import json_text, merge_patch


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": "\\ud83d"}', {"a": "\ud83d"}),
        (b'{"a": 1e400}', {"a": float("inf")}),
        (b'["\xff"]', ["\ufffd"]),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
    ],
)
def test_read_takes_what_vendors_send(data, value):
    assert json_text.read(data) == value


@pytest.mark.parametrize("data", [b"", b"<html>", b'{"a": 1', b"{} {}", b"[" * 200_000])
def test_read_refuses_what_is_no_json(data):
    with pytest.raises(ValueError, match=r".+"):
        json_text.read(data)


@pytest.mark.parametrize("text", ["1e400", '"\\ud83d"', "9" * 5000, '{"a": 1, "a": 2}', " [] ", "null"])
def test_is_json(text):
    assert json_text.is_json(text)


@pytest.mark.parametrize("text", ["", "NaN", "{}{}", "01", '"\\x"', "[1,]", "{'a': 1}", "[" * 200_000])
def test_is_no_json(text):
    assert not json_text.is_json(text)


def test_members_and_elements_are_verbatim():
    data = b'{"a": {"z": 1e400, "b": 10000000000000000000000}, "c": [1.0, {"x":  2}]}'
    assert bytes(json_text.members(data)["a"]) == b'{"z": 1e400, "b": 10000000000000000000000}'
    assert bytes(json_text.dig(data, "c", 1)) == b'{"x":  2}'


def test_members_and_elements_of_text_with_half_a_character():
    data = b'{"a": ["\\ud83d", 1]}'
    assert bytes(json_text.members(data)["a"]) == b'["\\ud83d",1]'
    assert bytes(json_text.dig(data, "a", 0)) == b'"\\ud83d"'


def test_a_digger_finds_what_dig_finds():
    usage = json_text.digger("delta", "usage")
    plain = b'{"a":[{"delta":1}],"delta":{"usage":0,"more":{"usage":1},"usage": {"x":  2} },"usage":3}'
    tolerated = b'{"delta":{"usage":{"x":"\\ud83d"},"huge":NaN}}'
    for data in (plain, tolerated):
        assert bytes(usage(data)) == bytes(json_text.dig(data, "delta", "usage"))
    assert bytes(usage(plain)) == b'{"x":  2}'
    with pytest.raises(KeyError):
        usage(b'{"delta":{}}')


@pytest.mark.parametrize("text", ["", "[]", "1", '{"a": }', '{}, "model": "x"'])
def test_verbatim_takes_exactly_one_object(text):
    with pytest.raises(CallFailure) as raised:
        json_text.verbatim(text, "tools[0]")
    assert raised.value.error.reason == Reason.ERROR_REASON_INVALID_REQUEST
    assert raised.value.error.param == "tools[0]"


def test_mend_joins_pairs_and_replaces_what_is_lone():
    assert json_text.mend("a\ud83d\ude00b") == ("a\U0001f600b", False)
    assert json_text.mend("\ude00x\ud83d") == ("\ufffdx\ufffd", True)
    assert json_text.split_high("a\ud83d") == ("a", "\ud83d")
    assert json_text.split_high("a\ude00") == ("a\ude00", "")


def test_mend_tree_leaves_what_may_be_joined_later():
    tree = {"content": "\ud83d", "name": "\ud83d", "list": ["\ude00", 1, None], "object": {"content": ["\ud83d"]}}
    assert json_text.mend_tree(tree, frozenset({"content"})) == {
        "content": "\ud83d",
        "name": "\ufffd",
        "list": ["\ufffd", 1, None],
        "object": {"content": ["\ufffd"]},
    }


def patched(native: object, patch: str) -> object:
    target = json.loads(json.dumps(native))
    merge_patch.merge(target, json_text.caller_object(patch, "p"))
    return json.loads(msgspec.json.encode(target))


# RFC 7396, appendix A: those whose target and patch are objects.
@pytest.mark.parametrize(
    ("native", "patch", "result"),
    [
        ({"a": "b"}, '{"a":"c"}', {"a": "c"}),
        ({"a": "b"}, '{"b":"c"}', {"a": "b", "b": "c"}),
        ({"a": "b"}, '{"a":null}', {}),
        ({"a": "b", "b": "c"}, '{"a":null}', {"b": "c"}),
        ({"a": ["b"]}, '{"a":"c"}', {"a": "c"}),
        ({"a": "c"}, '{"a":["b"]}', {"a": ["b"]}),
        ({"a": {"b": "c"}}, '{"a":{"b":"d","c":null}}', {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, '{"a":[1]}', {"a": [1]}),
        ({"e": None}, '{"a":1}', {"e": None, "a": 1}),
        ({}, '{"a":{"bb":{"ccc":null}}}', {"a": {"bb": {}}}),
    ],
)
def test_rfc_7396(native, patch, result):
    assert patched(native, patch) == result


def test_a_patch_reaches_into_verbatim_text_and_leaves_the_rest_of_it_alone():
    native = {"schema": msgspec.Raw(b'{"z": 1e400, "a": {"b": 1}}')}
    merge_patch.merge(native, json_text.caller_object('{"schema": {"a": {"c": 10000000000000000000000}}}', "p"))
    assert msgspec.json.encode(native) == b'{"schema":{"z":1e400,"a":{"b":1,"c":10000000000000000000000}}}'


def test_patches_apply_in_the_order_of_the_keys_and_others_are_not_read():
    native: dict[str, object] = {}
    provider_json = {"x/chat": '{"a": 2}', "x": '{"a": 1, "b": 1}', "y": "no json"}
    merge_patch.apply(native, provider_json, ("x", "x/chat"), param="p")
    assert msgspec.json.encode(native) == b'{"a":2,"b":1}'


@pytest.mark.parametrize("patch", ['{"s": {"u": false}}', '{"s": null}', '{"s": 1}', '{"s": {"u": null}}'])
def test_protected_paths(patch):
    with pytest.raises(CallFailure, match=r"must not set s\.u"):
        merge_patch.apply({}, {"x": patch}, ("x",), param="p", protected=[("s", "u")])


def test_beside_a_protected_path():
    native: dict[str, object] = {}
    merge_patch.apply(native, {"x": '{"s": {"v": 1}}'}, ("x",), param="p", protected=[("s", "u"), ("t",)])
    assert msgspec.json.encode(native) == b'{"s":{"v":1}}'
