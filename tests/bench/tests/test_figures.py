"""Ratios, bounds and result pages."""

import cProfile
import json
import pstats
from pathlib import Path

import pytest

from antiphon_bench import machine, results
from antiphon_bench.figures import FIGURES, missed, verdict
from antiphon_bench.peers import Contender, document, page, peers_table
from antiphon_bench.profiles import Profile, mappings_kb, of_stats
from antiphon_bench.ratio import Pair, of_rounds, quantile
from antiphon_bench.run import busy

BOUNDED = next(one for one in FIGURES if one.name == "router_unary_cpu_vs_echo")
FREE = next(one for one in FIGURES if one.bound is None)


async def no_call() -> None: ...


def test_a_ratio_is_the_median_of_the_rounds_not_the_ratio_of_the_medians() -> None:
    # One round on a machine that was twice as slow, one where only one side was disturbed.
    ratio = of_rounds([Pair(2, 1), Pair(4, 2), Pair(30, 10), Pair(9, 1), Pair(2, 1)])
    assert (ratio.value, ratio.low, ratio.high, ratio.rounds) == (2, 2, 9, 5)
    assert (ratio.ours, ratio.yardstick) == (4, 1)


@pytest.mark.parametrize("pairs", [[], [Pair(1, 1)] * 2, [Pair(1, 1), Pair(1, 1), Pair(1, 0)]])
def test_too_little_to_tell_is_an_error(pairs: list[Pair]) -> None:
    with pytest.raises(ValueError, match="round"):
        of_rounds(pairs)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)])
def test_quantiles_are_measured_values(share: float, value: int) -> None:
    assert quantile(list(range(100, 0, -1)), share) == value


def test_a_bound_includes_its_value() -> None:
    assert BOUNDED.bound is not None
    assert verdict(BOUNDED, BOUNDED.bound) == "met"
    assert verdict(BOUNDED, BOUNDED.bound + 0.01) == "missed"
    assert verdict(FREE, 1e9) == "–"
    assert missed({BOUNDED.name: BOUNDED.bound, FREE.name: 1e9}) == []
    assert missed({BOUNDED.name: BOUNDED.bound + 0.01}) == [BOUNDED]


def test_the_page_is_made_from_what_the_file_says(tmp_path: Path) -> None:
    ratio = of_rounds([Pair(9e-4, 4.5e-4)] * 3)
    profile = {"router_idle_rss_mb": Profile("MB", [("anonymous", 60.0)], "")}
    details = {BOUNDED.name: results.ratio_details(ratio)}
    result = results.document(
        {BOUNDED.name: ratio.value, "router_idle_rss_mb": 95.04}, details, profile, machine.describe(), "make bench"
    )
    results.write(tmp_path, "bench", result, results.page(result))
    read = json.loads((tmp_path / "bench.json").read_text())
    assert read["figures"] == {BOUNDED.name: 2.0, "router_idle_rss_mb": 95.04}
    assert read["bounds"][BOUNDED.name] == 2.2
    assert FREE.name not in read["bounds"]
    assert results.page(read) == (tmp_path / "bench.md").read_text()
    assert "| `anonymous` | 60.0 |" in results.page(read)
    rows = [line.split("|") for line in results.figure_table(read).splitlines()]
    cells = {row[1].strip(): [cell.strip() for cell in row[2:-1]] for row in rows}
    assert cells[BOUNDED.name] == ["2.00 ×", "≤ 2.2", "met", "2.00–2.00", "900 / 450 µs"]
    assert cells["router_idle_rss_mb"] == ["95.04 MB", "≤ 90", "missed", "", ""]


def test_pages_name_no_host_user_or_path() -> None:
    import getpass
    import socket

    result = json.dumps(results.document({}, {}, {}, machine.describe(), "make bench"))
    assert str(Path.cwd()) not in result
    assert socket.gethostname() not in result
    assert f'"{getpass.getuser()}"' not in result


def test_a_table_lines_up() -> None:
    text = results.table(("name", "value"), [("a", "1"), ("long name", "10.5")])
    assert text.splitlines() == [
        "| name      | value |",
        "|-----------|------:|",
        "| a         |     1 |",
        "| long name |  10.5 |",
    ]


def test_peers_are_multiples_of_ours_and_unknown_stays_empty() -> None:
    direct = Contender("no gateway", "", no_call, latencies_s=[0.001])
    ours = Contender("antiphon", "0.1.0", no_call, [1], 100.0, [0.002, 0.002, 0.01], [0.002])
    other = Contender("other", "1", no_call, [1], 300.0, [0.01, 0.01, 0.01], [0.004])
    result = document([direct, ours, other], {"third": "npm is missing"}, 3, machine.describe(), "make bench-peers")
    lines = [line.split("|") for line in peers_table(result).splitlines()]
    rows = {row[1].strip(): [cell.strip() for cell in row[2:-1]] for row in lines}
    assert rows["no gateway"] == ["", "", "1.0", "1.0", "", ""]
    assert rows["antiphon 0.1.0"][:3] == ["2.00", "1.0", "2.0"]
    assert rows["other 1"][:3] == ["10.00", "5.0", "4.0"]
    assert "third did not take part: npm is missing" in page(result)


def test_memory_is_summed_by_what_is_mapped() -> None:
    smaps = """\
7f00-7f01 r-xp 00000000 08:01 42   /usr/lib/libx.so
Size:                  4 kB
Rss:                   3 kB
7f01-7f02 rw-p 00000000 08:01 42   /usr/lib/libx.so
Rss:                   2 kB
7f02-7f03 rw-p 00000000 00:00 0
Rss:                   7 kB
"""
    assert mappings_kb(smaps) == {"libx.so": 5, "anonymous": 7}


def test_a_profile_is_per_call_and_leaves_the_start_out() -> None:
    def each_call() -> int:
        return sum(range(1000))

    def once() -> int:
        return sum(range(100_000))

    profile = cProfile.Profile()
    profile.enable()
    once()
    for _ in range(10):
        each_call()
    profile.disable()
    found = of_stats(pstats.Stats(profile), 10)
    names = [where for where, _ in found.rows]
    assert any("each_call" in name for name in names)
    assert not any("once" in name for name in names)
    assert "once" in found.text


def test_a_busy_machine_is_said() -> None:
    assert busy({"load_before": 1.0, "cores": 2}) == []
    assert "load 1.5 on 2 cores" in busy({"load_before": 1.5, "cores": 2})[0]
