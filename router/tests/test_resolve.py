"""What a model name means."""

import pytest

from antiphon_router.core.faults import Reason
from antiphon_router.core.resolve import Catalog, Refusal, Resolution, catalog_of, check_default, resolve
from antiphon_router.core.values import Backend, Candidate

LOCAL = Backend("local", "local", account="local", default_model="smol")
OPENAI_A = Backend("openai-a", "openai", account="a", default_model="gpt-mini", pool_mark="@a")
OPENAI_B = Backend("openai-b", "openai", account="b", pool_mark="@b")
VLLM = Backend("vllm", "vllm", account="vllm")
ROUTES = {
    "fast": (Candidate(OPENAI_A, "gpt-nano", tier=1), Candidate(LOCAL, "smol"), Candidate(OPENAI_B, "gpt-nano", 1, 3)),
    "gpt": (Candidate(OPENAI_A, "gpt-big"),),
}
CATALOG = catalog_of([LOCAL, OPENAI_A, OPENAI_B, VLLM], ROUTES, default="fast")


def ways(model: str, *providers: str, catalog: Catalog = CATALOG) -> list[list[tuple[str, str]]]:
    found = resolve(catalog, model, providers)
    assert isinstance(found, Resolution), found
    return [[(c.backend.id, c.model) for c in tier] for tier in found.tiers]


def refused(model: str, *providers: str, catalog: Catalog = CATALOG) -> Refusal:
    found = resolve(catalog, model, providers)
    assert isinstance(found, Refusal), found
    return found


def test_a_route_gives_its_targets_in_tiers():
    assert ways("fast") == [[("local", "smol")], [("openai-a", "gpt-nano"), ("openai-b", "gpt-nano")]]
    found = resolve(CATALOG, "fast")
    assert isinstance(found, Resolution)
    assert found.by_route


def test_a_provider_and_native_id_gives_all_its_backends():
    assert ways("openai/o9") == [[("openai-a", "o9"), ("openai-b", "o9")]]
    assert ways("vllm/meta-llama/Llama-3") == [[("vllm", "meta-llama/Llama-3")]]
    found = resolve(CATALOG, "openai/o9")
    assert isinstance(found, Resolution)
    assert not found.by_route


def test_a_bare_provider_gives_the_default_models_of_its_backends():
    assert ways("openai") == [[("openai-a", "gpt-mini")]]
    assert "vllm/<model>" in refused("vllm").message


def test_no_model_gives_the_default():
    assert ways("") == ways("fast")
    none = catalog_of([LOCAL])
    assert refused("", catalog=none).reason is Reason.MODEL_NOT_FOUND
    assert "DEFAULT_LLM" in refused("", catalog=none).message
    assert ways("", "openai") == [[("openai-a", "gpt-mini")]]
    assert ways("", "openai", "local") == [[("openai-a", "gpt-mini"), ("local", "smol")]]


def test_with_a_provider_a_bare_name_is_its_native_id():
    assert ways("llama", "vllm") == [[("vllm", "llama")]]
    assert ways("meta-llama/Llama-3", "vllm") == [[("vllm", "meta-llama/Llama-3")]]
    assert ways("openai/gpt-4o", "vllm") == [[("vllm", "openai/gpt-4o")]], "an aggregator's name for it"
    assert ways("openai", "vllm") == [[("vllm", "openai")]]


def test_a_provider_restricts_a_route_and_a_route_without_it_is_a_native_id():
    assert ways("fast", "openai") == [[("openai-a", "gpt-nano"), ("openai-b", "gpt-nano")]]
    assert ways("gpt", "local") == [[("local", "gpt")]]


def test_a_provider_restriction_agrees_with_a_prefix():
    assert ways("openai/o9", "openai") == [[("openai-a", "o9"), ("openai-b", "o9")]]


@pytest.mark.parametrize("model", ["nosuch", "nosuch/x", "openai/", "/x"])
def test_what_is_unknown_is_refused_and_what_is_known_is_named(model):
    refusal = refused(model)
    assert refusal.reason is Reason.MODEL_NOT_FOUND
    for name in ("fast", "gpt", "local", "openai", "vllm"):
        assert name in refusal.message
    assert refusal.param == "model"


def test_without_routes_none_are_named():
    assert "name a route or" in refused("x", catalog=catalog_of([LOCAL])).message


def test_an_unknown_provider_is_refused_and_the_known_ones_are_named():
    refusal = refused("", "openai", "nosuch")
    assert "'nosuch'" in refusal.message
    assert "local, openai, vllm" in refusal.message
    assert refusal.param == "antiphon-provider"


def test_names_are_bounded():
    assert refused("é" * 129).reason is Reason.INVALID_REQUEST
    assert len(refused("x" * 256).message) < 400
    many = catalog_of([Backend(f"b{n}", f"p{n}") for n in range(30)])
    assert refused("x", catalog=many).message.endswith(", …")


def test_a_default_that_leads_nowhere_is_found_at_start():
    assert check_default(CATALOG) is None
    assert check_default(catalog_of([LOCAL])) is None
    problem = check_default(catalog_of([LOCAL], default="nosuch"))
    assert problem is not None
    assert "known providers: local" in problem.message


def test_pools_of_several_accounts_are_told_apart():
    assert Candidate(OPENAI_A, "m").keys[1].id == "openai/m@a"
    assert Candidate(LOCAL, "m").keys[1].id == "local/m"
