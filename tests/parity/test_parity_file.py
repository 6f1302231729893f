"""The format of parity files: what is wrong in one is named."""

import parity_file
import pytest
from parity_file import Field, ParityError

GOOD = """
sdk: openai
requests:
  chat: {of: [a.B], fields: {x: native, "y[].z": {emulated: why}}}
  count: {of: [a.C], like: chat, fields: {w: passthrough}}
responses:
  chat: {of: [a.D], corpus: chat, fields: {kind=a: native, "free.*": native, "l[].n": native}, beyond: {more: native}}
features:
  Tools: [requests.chat x]
"""


def test_a_good_file() -> None:
    file = parity_file.parse(GOOD, "p")
    assert file.sections["requests.chat"].fields == {"x": Field("native"), "y[].z": Field("emulated", "why")}
    assert file.sections["requests.count"].fields.keys() == {"x", "y[].z", "w"}
    assert [section.name for section in file.responses] == ["responses.chat"]
    assert file.features == {"Tools": (("requests.chat", "x"),)}


REPEATING = """
sdk: openai
requests:
  chat:
    of: [a.B]
    fields: {"tools[].name": native, "tools[].kind=a": native}
    repeats: {"input[].tools[]": {of: "tools[]"}}
responses:
  chat:
    of: [a.C]
    corpus: chat
    fields: {x.y: native}
    repeats: {"echo[]": {of: "requests.chat tools[]", as: {dropped: why}}, z: {of: x, as: passthrough}}
  answer: {of: [a.D], never: why, repeats: {"": {of: responses.chat x}}}
"""


def test_what_stands_in_several_places_is_told_once() -> None:
    sections = parity_file.parse(REPEATING, "p").sections
    native, dropped = Field("native"), Field("dropped", "why")
    names = ("name", "kind=a")
    assert sections["requests.chat"].fields == {
        **{f"tools[].{name}": native for name in names},
        **{f"input[].tools[].{name}": native for name in names},
    }
    assert sections["responses.chat"].fields == {
        "x.y": native,
        "z.y": Field("passthrough"),
        **{f"echo[].{name}": dropped for name in names},
    }
    assert sections["responses.answer"].fields == {"y": native}


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("kind", "a", True),
        ("kind", "b", False),
        ("free.a[].b", 1, True),
        ("l[].n", 1, True),
        ("l[]", 1, False),
        ("more", 1, True),
    ],
)
def test_how_a_leaf_is_found(path: str, value: object, found: bool) -> None:
    assert (parity_file.parse(GOOD, "p").responses[0].find(path, value) is not None) is found


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("x: native", "x: natively", "requests.chat: x: 'natively' is none of"),
        ("x: native", "x: {dropped: }", "a reason belongs to"),
        ("x: native", "x: dropped", "a reason belongs to"),
        ("x: native", "x: {native: why}", "a reason belongs to"),
        ("like: chat", "like: chart", "which does not stand above it"),
        ("corpus: chat, ", "", "say `corpus`, or `never` and why"),
        ("requests.chat x", "requests.chat v", "names no field"),
        ("of: [a.B]", "types: [a.B]", "['types'] mean nothing here"),
        ("sdk: openai", "sdk: openai\nsdks: x", "['sdks'] mean nothing here"),
        ("fields: {w: passthrough}", "fields: [w]", "must be a mapping"),
        ("fields: {w: passthrough}", "repeats: {a: {of: q.r x}}", "'q.r', which does not stand above it"),
        ("fields: {w: passthrough}", "repeats: {a: {of: none}}", "nothing stands below 'none'"),
    ],
)
def test_what_is_wrong_is_named(before: str, after: str, complaint: str) -> None:
    assert before in GOOD
    with pytest.raises(ParityError) as raised:
        parity_file.parse(GOOD.replace(before, after), "p")
    assert complaint in str(raised.value)
