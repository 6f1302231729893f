"""The mapping is whole, and each class is where the drawing says."""

import copy

import grpc
import pytest

from antiphon.llm.v1 import error_pb2
from antiphon_client import errors
from antiphon_contract.errors import RULES, call_error

C = grpc.StatusCode


def test_every_reason_of_the_contract_has_a_class():
    assert set(errors.CLASS_BY_REASON) == set(RULES)


def test_every_class_is_drawn():
    drawn = errors.__doc__ or ""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.AntiphonError):
            assert f"{kind.__name__} " in drawn


def test_reason_decides_before_code():
    error = call_error(error_pb2.ERROR_REASON_QUOTA_EXHAUSTED, "no credit")
    error.code = C.UNAVAILABLE.value[0]
    assert type(errors.from_call_error(error)) is errors.QuotaExhausted


def test_code_decides_for_a_reason_of_a_later_contract():
    error = error_pb2.CallError(code=C.NOT_FOUND.value[0], message="gone")
    error.MergeFromString(b"\x10\xf4\x03")  # field 2, reason = 500
    failure = errors.from_call_error(error)
    assert (type(failure), failure.reason, failure.message) == (errors.NotFound, "", "gone")


@pytest.mark.parametrize(
    ("code", "details", "after_content", "kind"),
    [
        (C.UNAVAILABLE, "failed to connect to all addresses", False, errors.RouterUnreachable),
        (C.UNAVAILABLE, "Socket closed", False, errors.RouterUnreachable),
        (C.UNAVAILABLE, "Socket closed", True, errors.StreamInterrupted),
        (C.INTERNAL, "RST_STREAM", True, errors.StreamInterrupted),
        (C.DEADLINE_EXCEEDED, "", True, errors.DeadlineExceeded),
        (C.DEADLINE_EXCEEDED, "", False, errors.DeadlineExceeded),
        (C.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max", False, errors.RequestTooLarge),
        (C.RESOURCE_EXHAUSTED, "CLIENT: Received message larger than max", True, errors.Internal),
        (C.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!", False, errors.RateLimited),
        (C.UNIMPLEMENTED, "Method not found!", False, errors.Unsupported),
        (C.UNAUTHENTICATED, "", False, errors.Unauthenticated),
        (C.UNKNOWN, "Unexpected <class 'KeyError'>: 'sk-secret'", False, errors.Internal),
        (C.CANCELLED, "", False, errors.Cancelled),
    ],
)
def test_a_status_without_a_reason_maps_by_code_and_hides_foreign_text(code, details, after_content, kind):
    failure = errors.from_status(code, details, "h:1", after_content=after_content)
    assert type(failure) is kind
    if details:
        assert details not in failure.message


def test_errors_can_be_copied():
    failure = errors.RateLimited("wait", reason="RATE_LIMITED", retry_delay_s=2)
    assert copy.copy(failure).retry_delay_s == 2
