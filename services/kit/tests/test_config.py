"""The routes file: what is read, and that each mistake is one line with its place and its remedy."""

import re
from pathlib import Path

import pytest
import yaml
from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.config.v1 import suite_pb2
from antiphon_kit.config import ConfigError, load_suite, parse_suite, provider_names
from antiphon_kit.config_scalars import is_scalar
from antiphon_kit.config_yaml import Places, read

WHOLE = """
default_llm: fast
backends:
  - id: openai-a
    provider: openai
    addresses: ["10.0.0.1:7000", "[::1]:7000", "dns:///openai.svc:7000"]
    state_domain: account-a
    default_model: gpt-x
    max_in_flight: 100
  - {id: ollama, provider: ollama, addresses: [localhost:7001]}
routes:
  - model: fast
    targets:
      - {backend: openai-a, weight: 0}
      - {backend: ollama, model: "llama:3", tier: 1, weight: 1000}
compat:
  - name: ollama
    base_url: http://localhost:11434/v1
    api_key: env:OLLAMA_KEY
    max_tokens_field: max_completion_tokens
    stream_usage: false
"""
BACKEND = "backends: [{id: a, provider: p, addresses: ['h:1'], default_model: m}]\n"


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_suite(text if isinstance(text, bytes) else text.encode(), "routes.yaml")
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


def problem(text: str | bytes) -> str:
    (only,) = problems(text)
    return only


def test_every_field_is_read() -> None:
    suite = parse_suite(WHOLE.encode(), "routes.yaml")
    assert MessageToDict(suite, preserving_proto_field_name=True) == {
        "default_llm": "fast",
        "backends": [
            {
                "id": "openai-a",
                "provider": "openai",
                "addresses": ["10.0.0.1:7000", "[::1]:7000", "dns:///openai.svc:7000"],
                "state_domain": "account-a",
                "default_model": "gpt-x",
                "max_in_flight": 100,
            },
            {"id": "ollama", "provider": "ollama", "addresses": ["localhost:7001"]},
        ],
        "routes": [
            {
                "model": "fast",
                "targets": [
                    {"backend": "openai-a", "weight": 0},
                    {"backend": "ollama", "model": "llama:3", "tier": 1, "weight": 1000},
                ],
            }
        ],
        "compat": [
            {
                "name": "ollama",
                "base_url": "http://localhost:11434/v1",
                "api_key": "env:OLLAMA_KEY",
                "max_tokens_field": "max_completion_tokens",
                "stream_usage": False,
            }
        ],
    }
    assert provider_names(suite) == ("ollama", "openai")


def test_unset_is_not_zero() -> None:
    suite = parse_suite((BACKEND + "routes: [{model: r, targets: [{backend: a}]}]").encode(), "r")
    assert not suite.routes[0].targets[0].HasField("weight")


def test_the_schema_uses_only_types_that_can_be_read() -> None:
    def kinds(descriptor: Descriptor) -> set[int]:
        found: set[int] = set()
        for field in descriptor.fields:
            found |= {field.type} if is_scalar(field) else kinds(field.message_type)
        return found

    assert kinds(suite_pb2.Suite.DESCRIPTOR) == {9, 5, 3, 1, 8, 14, 11}, "text, numbers, truth, enum, duration"


def test_anchors_and_merge_keys() -> None:
    suite = parse_suite(
        b"""
backends:
  - &first {id: a, provider: p, addresses: &where ['h:1'], max_in_flight: 3}
  - {<<: *first, id: b}
  - {<<: [{max_in_flight: 4}, *first], id: c}
  - {id: d, provider: p, addresses: *where}
""",
        "r",
    )
    assert [(backend.id, backend.max_in_flight, backend.addresses[0]) for backend in suite.backends] == [
        ("a", 3, "h:1"),
        ("b", 3, "h:1"),
        ("c", 4, "h:1"),
        ("d", 0, "h:1"),
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    found = problems(
        """\
backends:
  - id: Local_A
    provider: local
    adresses: ["127.0.0.1:7001"]
    default_model: 4
routes:
  - model: fast
    targets:
      - {backend: bb, weight: 1001, tier: -1}
default_llm: opnai
"""
    )
    assert found == [
        "routes.yaml:2:5: backends[0].addresses: none; "
        "add host:port for a replica, or dns:///host:port for all behind a name",
        "routes.yaml:2:9: backends[0].id: 'Local_A' is no id; use 1 to 63 of a-z, 0-9 and -",
        "routes.yaml:4:5: backends[0]: unknown field 'adresses'; did you mean addresses?",
        "routes.yaml:5:20: backends[0].default_model: reads as a number; put it in quotes",
        "routes.yaml:9:19: routes[0].targets[0].backend: there is no backend 'bb'; known are Local_A",
        "routes.yaml:9:31: routes[0].targets[0].weight: 1001 is out of range; use 0 to 1000",
        "routes.yaml:9:43: routes[0].targets[0].tier: -1 is below 0; use 0 for the tier to try first",
        "routes.yaml:10:14: default_llm: nothing here is called 'opnai'; known are fast, local",
    ]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (b"", "1:1", "the file is empty; it needs backends"),
        (b"# only a comment\n", "1:1", "the file is empty"),
        (b"\xef\xbb\xbf", "1:1", "the file is empty"),
        (b"a: b\nc: \xff", "2:4", "not UTF-8"),
        (b"a: \x01", "1:4", "control character"),
        (b"backends:\n\t- id: a", "2:1", "a tab; indent with spaces"),
        (b"a: [", "1:5", "not valid YAML"),
        (b"a: 'x", "1:6", "not valid YAML"),
        (b"a: *x", "1:4", "undefined alias"),
        (b"a: 1\n---\nb: 2", "2:1", "a second document"),
        (b"[" * 5_000, "1:1", "nested too deeply"),
        (b"x" * 2_000_000, "1:1", "more than"),
        (b"- a", "1:1", "a list is not what belongs here; use fields such as backends"),
        (b"backends", "1:1", "'backends' is not what belongs here"),
        (b"&a [*a]", "1:1", "a list"),
        (b"backends: &a [*a]", "1:11", "backends[0]: a list"),
        (b"backends:", "1:10", "backends: no value; give a list"),
        (b"backends: {id: a}", "1:11", "backends: a mapping is not what belongs here; use a list"),
        (b"!!python/object:os.system {}", "1:1", "the tag 'tag:yaml.org,2002:python/object:os.system'"),
        (b"backends: !mine []", "1:11", "the tag '!mine'"),
    ],
)
def test_what_is_no_routes_file(text: bytes, place: str, words: str) -> None:
    line = problem(text)
    assert line.startswith(f"routes.yaml:{place}: ")
    assert words in line


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{id: 7}", "id: reads as a number; put it in quotes"),
        ("{id: 1.5}", "id: reads as a number"),
        ("{id: no}", "id: reads as a truth value"),
        ("{id: 2026-01-01}", "id: reads as a date"),
        ("{id: }", "id: no value; give a text, or delete the line"),
        ("{id: [a]}", "id: a list is not what belongs here; use a text"),
        ("{id: !!binary aGk=}", "id: the tag"),
        ('{id: "\\ud800"}', "id: half of a surrogate pair"),
        ("{id: a, id: a}", "'id' is here twice; keep one"),
        ("{id: a, max_in_flight: '5'}", "max_in_flight: '5' is not what belongs here; use a whole number"),
        ("{id: a, max_in_flight: 010}", "whole number"),
        ("{id: a, max_in_flight: 0x10}", "whole number"),
        ("{id: a, max_in_flight: 1:30}", "whole number"),
        ("{id: a, max_in_flight: 2147483648}", "whole number"),
        ("{id: a, max_in_flight: 1.0}", "whole number"),
        ("{id: a, max_in_flight: -1}", "-1 is below 0"),
        ("{id: a, [b]: c}", "unknown field"),
        ("{id: a, <<: x}", "<< takes fields, but here are none"),
        ("{id: a, <<: {<<: {}}}", "<< inside"),
        ("{id: A}", "'A' is no id"),
        ("{id: ''}", "'' is no id"),
        ("{id: a, provider: Open}", "'Open' is no provider name"),
        ("{id: a, addresses: []}", "addresses: none; add host:port"),
        ("{id: a, addresses: [1]}", "addresses[0]: reads as a number"),
        ("{id: a, addresses: ['http://h:1']}", "addresses[0]: 'http://h:1' is no address"),
        ("{id: a, addresses: ['h']}", "is no address"),
        ("{id: a, addresses: ['h:0']}", "is no address"),
        ("{id: a, addresses: ['dns://h:1']}", "is no address"),
        ("{id: a, addresses: ['h:1', 'h:1']}", "'h:1' is here 2 times"),
        ("{id: a, state_domain: 'a b'}", "state_domain: not a usable name"),
        ("{id: a, default_model: ' m'}", "default_model: begins or ends with a blank"),
    ],
)
def test_what_is_no_backend(value: str, words: str) -> None:
    good = "&good {id: good, provider: p, addresses: ['h:1']}"
    lines = problems(
        f"backends:\n  - {good}\n  - {{<<: *good, {value[1:]}"
        if "<<" not in value
        else f"backends:\n  - {{provider: p, addresses: ['h:1'], {value[1:]}"
    )
    assert len(lines) == 1, lines
    assert words in lines[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("routes: [{model: '', targets: [{backend: a}]}]", "routes[0].model: missing"),
        ("routes: [{model: r}]", "routes[0].targets: none"),
        ("routes: [{model: r, targets: [{}]}]", "routes[0].targets[0].backend: missing"),
        ("routes: [{model: r, targets: [{backend: aa}]}]", "there is no backend 'aa'; did you mean a?"),
        ("routes: [{model: r, targets: [{backend: a}]}, {model: r, targets: [{backend: a}]}]", "taken by routes[0]"),
        (f"routes: [{{model: {'r' * 257}, targets: [{{backend: a}}]}}]", "longer than 256 bytes"),
        (f"routes: [{{model: {'é' * 129}, targets: [{{backend: a}}]}}]", "longer than 256 bytes"),
        ("routes: [{model: r, targets: [{backend: a, weight: -1}]}]", "use 0 to 1000"),
        ("compat: [{name: c}]", "compat[0].base_url: not a plain URL"),
        ("compat: [{name: c, base_url: 'ftp://h'}]", "not a plain URL"),
        ("compat: [{name: c, base_url: 'http://h/?a=b'}]", "not a plain URL"),
        ("compat: [{name: c, base_url: 'http://h', stream_usage: 1}]", "use true or false"),
        ("compat: [{name: c, base_url: 'http://h', max_tokens_field: 'a-b'}]", "is no field name"),
        ("compat: [{name: c, base_url: 'http://h'}, {name: c, base_url: 'http://h'}]", "taken by compat[0]"),
        ("default_llm: q", "nothing here is called 'q'; known are p"),
        ("default_llm: p/", "no model after p/"),
        ("defaul_llm: p", "unknown field 'defaul_llm'; did you mean default_llm?"),
    ],
)
def test_what_is_no_route_and_no_server(text: str, words: str) -> None:
    assert words in problem(BACKEND + text)


def test_a_backend_id_is_one_backends() -> None:
    one = "{id: a, provider: p, addresses: ['h:1']}"
    assert "backends[1].id: 'a' is taken by backends[0]" in problem(f"backends: [{one}, {one}]")


def test_no_backend_at_all() -> None:
    assert "backends: none; add at least one" in problem("compat: []")


def test_a_target_and_a_default_need_a_model_from_somewhere() -> None:
    bare = "backends: [{id: a, provider: p, addresses: ['h:1']}]\n"
    assert "backend a has no default_model" in problem(bare + "routes: [{model: r, targets: [{backend: a}]}]")
    assert "no backend of p has a default_model" in problem(bare + "default_llm: p")


@pytest.mark.parametrize("default", ["p", "p/any/thing", "r"])
def test_what_default_llm_may_be(default: str) -> None:
    routes = "routes: [{model: r, targets: [{backend: a}]}]\n"
    assert parse_suite(f"{BACKEND}{routes}default_llm: {default}".encode(), "r").default_llm == default


@pytest.mark.parametrize(
    "server",
    [
        "{name: c, base_url: 'http://h', api_key: sk-canary1234}",
        "{name: c, base_url: 'http://h', api_key: 1234567}",
        "{name: c, base_url: 'http://h', api_key: !!binary canary12}",
        "{name: c, base_url: 'http://h', api_key: [canary1234567]}",
        "{name: c, base_url: 'http://user:canary1234567@h'}",
        "{name: c, base_url: 'http://h/?key=canary1234567'}",
    ],
)
def test_what_may_be_a_key_is_not_shown(server: str) -> None:
    line = problem(f"{BACKEND}compat: [{server}]")
    assert "canary" not in line
    assert "1234567" not in line


def test_many_mistakes_end_somewhere() -> None:
    assert len(problems("\n".join(f"unknown{number}: 1" for number in range(5000)))) < 100


def test_aliases_cannot_blow_the_file_up() -> None:
    targets = ", ".join(["*t"] * 1000)
    routes = "\n".join(["  - {model: r, targets: *ts}"] * 1000)
    text = f"{BACKEND}routes:\n  - &r {{model: r, targets: &ts [&t {{backend: a}}, {targets}]}}\n{routes}"
    assert any("entries in all" in line for line in problems(text))


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    for make, words in (
        (lambda: None, "no such file; write one"),
        (path.mkdir, "is a directory; name the routes file in it"),
    ):
        make()
        with pytest.raises(ConfigError, match=words) as caught:
            load_suite(path)
        assert str(caught.value).startswith(f"{path}: ")
    path.rmdir()
    path.write_text(WHOLE)
    assert len(load_suite(path).backends) == 2
    with pytest.raises(ConfigError, match="cannot be read"):
        load_suite("nul\0")


def raises_nothing_but_config_errors(raw: bytes) -> None:
    lines: tuple[str, ...] = ()
    try:
        suite = parse_suite(raw, "routes.yaml")
    except ConfigError as error:
        lines = error.problems
    else:
        assert suite.backends
    for line in lines:
        assert re.match(r"routes\.yaml:[1-9]\d*:[1-9]\d*: .+(; .+|\?)$", line), line
        assert "\n" not in line


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_raise_anything_but_config_errors(raw: bytes) -> None:
    raises_nothing_but_config_errors(raw)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.text(max_size=8)
NAMES = st.sampled_from([field.name for field in suite_pb2.Suite.DESCRIPTOR.fields]) | st.sampled_from(
    [
        "id",
        "provider",
        "addresses",
        "targets",
        "backend",
        "model",
        "weight",
        "tier",
        "name",
        "api_key",
        "<<",
        "stream_usage",
    ]
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | SCALARS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_no_tree_raises_anything_but_config_errors(tree: object) -> None:
    raises_nothing_but_config_errors(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WHOLE)), st.text(alphabet="\t\n :-[]{}&*!|>'\"%@`#?,x0~<", max_size=3), st.integers(0, 3))
def test_no_edit_raises_anything_but_config_errors(at: int, new: str, gone: int) -> None:
    raises_nothing_but_config_errors((WHOLE[:at] + new + WHOLE[at + gone :]).encode())


def test_a_place_is_found_for_what_the_file_has_not() -> None:
    places = Places("f")
    read(b"backends:\n  - id: a\n", suite_pb2.Suite(), places)
    places.problem("backends[0].addresses", "missing; add one")
    places.problem("routes", "none; add one")
    with pytest.raises(ConfigError) as caught:
        places.check()
    assert caught.value.problems == ("f:1:1: routes: none; add one", "f:2:5: backends[0].addresses: missing; add one")
