"""The parity suite: what every provider service must do, judged from outside, over gRPC and real HTTP."""

import pytest

# Before the cases are imported, so that a red case shows the values it compared.
pytest.register_assert_rewrite("antiphon_conformance.cases", "antiphon_conformance.verdict")
