"""What the reports of processes come to, and how slots are shown."""

from antiphon.router.v1 import health_pb2, keys_pb2
from antiphon_keys.document import Row
from antiphon_keys.listing import only_held, versions
from antiphon_keys.observed import problems, seen
from antiphon_keys.rotation import Held
from antiphon_keys.store import Stored
from antiphon_kit.key_versions import Stage

SLOT = "openai/default"


def use(version: int, status: str, instance: str = "i", **more: object) -> keys_pb2.KeyUse:
    return keys_pb2.KeyUse(
        slot=SLOT, version=version, instance=instance, backend="b", fingerprint=f"f{version}",
        status=f"KEY_STATUS_{status}", **more,
    )  # fmt: skip


def report(*uses: keys_pb2.KeyUse, **problem: object) -> keys_pb2.WatchKeyUseResponse:
    told = keys_pb2.WatchKeyUseResponse(uses=uses)
    if problem:
        told.problems.add(slot=SLOT, **problem)
    return told


def test_processes_without_the_slot_do_not_count() -> None:
    other = keys_pb2.WatchKeyUseResponse(uses=[keys_pb2.KeyUse(slot="default", version=1, status="KEY_STATUS_CURRENT")])
    checked = use(2, "CANDIDATE", calls=3, successes=2, in_flight=1)
    checked.check_time.FromSeconds(5)
    found = seen(SLOT, [1, 2], {"a": report(use(1, "CURRENT"), checked), "b": other, "c": report()})
    assert found.processes == {
        "a": {1: Held(Stage.CURRENT), 2: Held(Stage.CANDIDATE, 1, 3, 2, checked=True)},
    }
    assert found.successes(2) == 2


def test_a_refused_or_malformed_version_is_seen() -> None:
    refused = use(1, "CURRENT")
    refused.targets.add(scope=health_pb2.SCOPE_KEY, state=health_pb2.HEALTH_STATE_DISABLED)
    model = use(2, "CANDIDATE")
    model.targets.add(scope=health_pb2.SCOPE_KEY_MODEL, state=health_pb2.HEALTH_STATE_DISABLED)
    found = seen(SLOT, [], {"a": report(refused, model, rule="malformed", version=3)})
    assert [found.processes["a"][number].refused for number in (1, 2)] == [True, False]
    assert found.malformed == {3}
    assert seen("other/default", [], {"a": report(rule="malformed", version=3)}).malformed == frozenset()
    assert seen(SLOT, [], {"a": report(rule="malformed")}).malformed == frozenset()


def test_a_problem_that_many_tell_is_one() -> None:
    first, second = report(rule="stale"), report(rule="stale")
    first.problems[0].since_time.FromSeconds(9)
    second.problems[0].since_time.FromSeconds(5)
    own = keys_pb2.KeyProblem(slot="a/b", rule="denied")
    found = problems({"x": first, "y": second, "z": first}, [own])
    assert [(each.slot, each.rule, each.since_time.seconds) for each in found] == [
        ("a/b", "denied", 0),
        (SLOT, "stale", 5),
    ]


def test_versions_are_shown_with_what_is_known_of_them() -> None:
    document = {1: Row(Stage.REVOKED, since_s=50.0), 2: Row(Stage.CURRENT, 1.0), 3: Row(Stage.CANDIDATE, 0.1, 70.0)}
    stored = Stored(SLOT, document, 4, alive=(4, 3, 2), newest=4, written_s={2: 20.0, 3: 30.0, 4: 40.0})
    reports = {"a": report(use(3, "BAD", "z"), use(2, "CURRENT", "z")), "b": report(use(2, "CURRENT", "k"))}
    shown = versions(stored, reports)
    assert [(each.version, each.status, each.status_time.seconds) for each in shown] == [
        (4, keys_pb2.KEY_STATUS_UNSPECIFIED, 40),
        (3, keys_pb2.KEY_STATUS_CANDIDATE, 70),
        (2, keys_pb2.KEY_STATUS_CURRENT, 20),
        (1, keys_pb2.KEY_STATUS_REVOKED, 50),
    ]
    assert [each.instance for each in shown[2].uses] == ["k", "z"]
    assert shown[2].share == 0.9
    assert (shown[1].share, shown[1].fingerprint, shown[1].uses[0].status) == (0.1, "f3", keys_pb2.KEY_STATUS_BAD)


def test_without_a_document_it_is_as_the_processes_have_it() -> None:
    (shown,) = versions(Stored(SLOT), {"a": report(use(1, "CURRENT"))})
    assert shown.status == keys_pb2.KEY_STATUS_CURRENT
    assert only_held([], {"a": report(use(1, "CURRENT"))}) == [SLOT]
    assert only_held([SLOT], {"a": report(use(1, "CURRENT"))}) == []
