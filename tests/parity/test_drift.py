"""The parity files and the SDKs that are installed know the same fields."""

import dataclasses
import typing

import drift
import parity_file
import pydantic
import pytest
import sdk_fields
import typing_extensions
from parity_file import ParityFile, Section

FILES = parity_file.discover()


def _provider(file: ParityFile) -> str:
    return file.provider


def test_the_vendors_with_an_sdk_have_a_file() -> None:
    assert {file.provider for file in FILES} >= {"openai", "anthropic", "cohere"}


@pytest.mark.parametrize("file", FILES, ids=_provider)
def test_every_field_of_the_sdk_is_known(file: ParityFile) -> None:
    assert drift.complaints(file) == []


@pytest.mark.parametrize("file", FILES, ids=_provider)
def test_a_field_that_is_taken_out_or_made_up_is_seen(file: ParityFile) -> None:
    """Every single one."""
    name, section = next((name, section) for name, section in file.sections.items() if len(section.fields) > 20)
    told = drift.told_by_the_sdk(section)
    for path in section.fields:
        fields = {one: field for one, field in section.fields.items() if one != path}
        assert told - fields.keys() == {path}
    (path, field), *_ = section.fields.items()
    without = {one: field for one, field in section.fields.items() if one != path}
    assert _complaints(file, name, without) == [f"{file.provider} {name}: {path} is new in the SDK"]
    beside = section.fields | {"made.up[]": field}
    assert _complaints(file, name, beside) == [f"{file.provider} {name}: made.up[] is gone from the SDK"]


def _complaints(file: ParityFile, name: str, fields: dict[str, parity_file.Field]) -> list[str]:
    section = dataclasses.replace(file.sections[name], fields=fields)
    return drift.complaints(dataclasses.replace(file, sections={name: section}))


def test_a_field_beyond_the_sdk_that_it_has_learned_is_seen() -> None:
    file = next(file for file in FILES if file.provider == "openai")
    section: Section = file.sections["responses.models"]
    beyond = {"id": parity_file.Field("native")}
    changed = dataclasses.replace(file, sections={section.name: dataclasses.replace(section, beyond=beyond)})
    assert drift.complaints(changed) == ["openai responses.models: id is beyond the SDK no more"]


# -- the walk


class _Alias:
    alias = "from"


class _Arm(typing_extensions.TypedDict, total=False):
    type: typing_extensions.Required[typing.Literal["arm"]]
    from_: typing.Annotated[str, _Alias()]


class _Other(pydantic.BaseModel):
    type: typing.Literal["other", "another"]
    inner: "list[_Other] | None" = None
    open_: dict[str, object] = pydantic.Field(alias="open")
    by_name: dict[str, _Arm]
    anything: typing.Any


def _called(self: object, *, arms: "typing.Sequence[_Arm | _Other] | str", request_options: int = 0) -> None: ...


def test_the_walk_sees_every_kind_of_type() -> None:
    assert sdk_fields.paths(_called) == {
        "arms",
        "arms[].type=arm",
        "arms[].from",
        "arms[].type=other",
        "arms[].type=another",
        "arms[].inner[].*",
        "arms[].open.*",
        "arms[].by_name.*.type=arm",
        "arms[].by_name.*.from",
        "arms[].anything",
    }
