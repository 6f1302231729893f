"""Where provider processes are looked for."""

import os
from pathlib import Path

import pytest

from antiphon_keys.places import Places
from antiphon_kit.config import ConfigError

ROUTES = """\
backends:
  - {id: a, provider: openai, addresses: ["127.0.0.1:1", "dns:///localhost:2"]}
  - {id: k, provider: cohere, addresses: ["k8s:///llm/cohere:3"]}
"""


async def test_the_addresses_of_the_routes_file_and_what_a_name_stands_for(tmp_path: Path) -> None:
    routes = tmp_path / "routes.yaml"
    routes.write_text(ROUTES)
    places = Places((), routes)
    places.load()
    found = await places.now()
    assert found["127.0.0.1:1"] == found["127.0.0.1:2"] == "a"
    assert "k" not in found.values()


async def test_a_changed_file_counts_and_a_broken_one_does_not(tmp_path: Path) -> None:
    routes = tmp_path / "routes.yaml"
    routes.write_text(ROUTES)
    places = Places((), routes)
    places.load()
    for number, text, wanted in ((1, "backends:\n  - {id: b, provider: openai, addresses: ['h:9']}\n", {"h:9": "b"}),
                                 (2, "no routes", {"h:9": "b"})):  # fmt: skip
        routes.write_text(text)
        os.utime(routes, ns=(number, number))
        assert await places.now() == wanted
    routes.unlink()
    assert await places.now() == {"h:9": "b"}


async def test_a_list_needs_no_file_and_a_name_that_is_none_is_nowhere() -> None:
    places = Places((("h:1", "b"), ("dns:///no-such-name.invalid:2", "c")), Path("/none"))
    places.load()
    assert await places.now() == {"h:1": "b"}


def test_a_file_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Places((), tmp_path / "none.yaml").load()
