"""docs/routes.md: every example can be used, and no field is left out."""

import re
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor

from antiphon.config.v1 import suite_pb2
from antiphon_kit.config import load_suite, parse_suite
from antiphon_kit.config_scalars import enum_words, is_scalar

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "routes.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_can_be_used(example: str) -> None:
    first = EXAMPLES[0]
    whole = example if "backends:\n" in example else first + example
    assert parse_suite(whole.encode(), "docs/routes.md").backends


def test_every_field_and_every_word_is_shown() -> None:
    def names(descriptor: Descriptor) -> set[str]:
        found = set()
        for field in descriptor.fields:
            found.add(field.name)
            if not is_scalar(field):
                assert field.message_type is not None
                found |= names(field.message_type)
            if field.enum_type is not None:
                found |= set(enum_words(field.enum_type))
        return found

    shown = set(re.findall(r"[a-z0-9_]+", " ".join(EXAMPLES)))
    assert names(suite_pb2.Suite.DESCRIPTOR) - shown == set()


def test_the_file_of_the_launcher_can_be_used() -> None:
    assert load_suite(ROOT / "deploy" / "embedded" / "antiphon.yaml").routes
