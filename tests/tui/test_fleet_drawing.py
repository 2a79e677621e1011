"""How the lists of the fleet draw what they are given: columns, meters, rows, the map. No terminal."""

from dataclasses import replace

import pytest

from deployer.app.looking import FleetNow, HostNow
from deployer.app.times import age
from deployer.tui import deploymentrows, heatmap, hostrows
from deployer.tui.fleetquery import Query, fits_host, hosts_in_order
from deployer.tui.fleetviews import Wanted
from deployer.tui.glyphs import ASCII, UNICODE
from deployer.tui.grid import Column, fit, lay
from deployer.tui.line import line, text_of, width_of
from deployer.tui.meters import block, heat, load_role, meter, spark
from deployer.tui.widgets.rows import LazyRows, Row, changed_cells
from tests.tui.fleets import deployment, gpu, host


def test_the_least_important_columns_go_first_and_the_rest_fills_the_width() -> None:
    columns = [Column("a", "A", 4, 8, 0), Column("b", "B", 4, 40, 1), Column("c", "C", 4, 4, 2)]
    assert [(c.name, w) for c, w in fit(columns, 30)] == [("a", 8), ("b", 14), ("c", 4)]
    assert [(c.name, w) for c, w in fit(columns, 12)] == [("a", 6), ("b", 4)]
    assert [(c.name, w) for c, w in fit(columns, 3)] == [("a", 4)]


@pytest.mark.parametrize("width", [60, 79, 119, 199])
def test_no_row_is_wider_than_the_list(width: int) -> None:
    one = host("a-host-with-a-very-long-name-indeed")
    for compact in (False, True):
        fitted = hostrows.columns_for([one.name], width, compact=compact, gpus=8)
        for entry in (hostrows.compact if compact else hostrows.full)([one], {}, {}):
            assert width_of(hostrows.draw(entry, fitted, UNICODE).left) <= width
    fitted = deploymentrows.columns_for(["chat"], width)
    for entry in deploymentrows.entries([deployment("chat", "deployed", "h1:0", "h1:1")], {}, {}):
        assert width_of(deploymentrows.draw(entry, fitted, UNICODE).left) <= width


def test_narrower_lists_leave_out_what_matters_less_in_a_fixed_order() -> None:
    def heads(width: int) -> list[str]:
        return [column.name for column, _ in hostrows.columns_for(["gpu-01"], width)]

    assert "model" not in heads(80)
    assert heads(120)[:5] == ["host", "state", "gpu", "model", "util"]
    gone = [set(heads(width + 1)) - set(heads(width)) for width in range(119, 20, -1)]
    assert [*(name for names in gone for name in sorted(names))][:4] == ["model", "meter", "spark", "temperature"]


def test_a_sparkline_shows_the_newest_at_the_right_and_gaps_where_nothing_was_heard() -> None:
    assert spark((0, None, 50, 100), 6, UNICODE) == ("  ▁ ▅█", "warn")
    assert spark((0, 50, 100), 2, ASCII) == ("+#", "warn")


def test_thresholds_are_said_by_role_and_sign() -> None:
    assert [load_role(value) for value in (None, 9, 10, 74, 75)] == ["dim", "dim", "good", "good", "warn"]
    assert [text_of(heat(value, UNICODE)) for value in (69, 70, 85, None)] == ["69° ", "70°▲", "85°✗", "– "]
    assert text_of(heat(85, ASCII)) == "85Cx"
    assert text_of(meter(0.5, 10, UNICODE)) == "█████░░░░░"
    assert block(None, UNICODE) == "·"


def test_a_fleet_in_ascii_has_no_other_sign() -> None:
    lost = host("h2", state="lost", heard_s=5.0)
    now = [host("h1"), lost, host("h3", gpus=0)]
    fitted = hostrows.columns_for([one.name for one in now], 160)
    rows = [hostrows.draw(entry, fitted, ASCII) for entry in hostrows.full(now, {}, {})]
    found = heatmap.heat_map(now, {}, 80, 20, "h1")
    rows += [heatmap.draw(entry, ASCII) for entry in found.entries] + [heatmap.head(ASCII)]
    for row in rows:
        assert text_of(row.left).isascii(), text_of(row.left)


def test_a_map_without_room_for_names_leaves_them_out_but_no_gpu() -> None:
    many = [host(f"gpu-{n:03}", gpus=8) for n in range(200)]
    named = heatmap.heat_map(many, {}, 120, 40, None)
    tight = heatmap.heat_map(many, {}, 120, 20, None)
    assert len(tight.entries) <= 20 < len(named.entries)
    for found in (named, tight):
        assert sorted(name for row in found.places.values() for name in row) == [one.name for one in many]
        cells = "".join(text_of(heatmap.draw(entry, UNICODE).left) for entry in found.entries)
        assert sum(cells.count(sign) for sign in "▁▂▃▄▅▆▇█") == 1600


def test_form_follows_the_number_of_gpus_until_somebody_chooses() -> None:
    def form(hosts: int, gpus: int, chosen: str | None = None) -> str:
        now = FleetNow(hosts={f"h{n}": host(f"h{n}", gpus=gpus) for n in range(hosts)})
        return Wanted(form=chosen).form_for(now, 20)

    assert (form(5, 8), form(30, 8), form(41, 8)) == ("full", "compact", "heat")
    assert form(41, 8, "full") == "full"


def test_filter_words_must_all_fit() -> None:
    one = host("gpu-01", gpus=1)
    assert fits_host(one, {"zone": "north"}, Query.of("host:gpu-0 h100 zone=north state:up"))
    assert not fits_host(one, {}, Query.of("host:gpu-0 zone=north"))
    assert not fits_host(one, {}, Query.of("state:lost"))


def test_small_changes_of_load_do_not_move_rows() -> None:
    def steady(name: str, used: int) -> HostNow:
        return replace(host(name), gpus=(replace(gpu(name, 0, used=used), history=(used,) * 60),))

    assert [one.name for one in hosts_in_order([steady("a", 51), steady("b", 53)], "utilisation")] == ["a", "b"]
    assert [one.name for one in hosts_in_order([steady("a", 51), steady("b", 90)], "utilisation")] == ["b", "a"]


def test_equal_rows_are_taken_over_and_only_those_in_sight_are_made() -> None:
    made: list[str] = []

    def draw(entry: tuple[str, object]) -> Row:
        made.append(entry[0])
        return Row(entry[0], line(str(entry[1])))

    first = LazyRows([("a", 1), ("b", 2), ("c", 3)], draw)
    assert first[0] is first[0]
    second = LazyRows([("a", 1), ("b", 5)], draw, first)
    assert second[0] is first[0]
    assert text_of(second[1].left) == "5"
    assert made == ["a", "b"]


def test_changed_cells_are_found_from_both_ends() -> None:
    before = line("name  ", ("12%", "good"), "  end")
    assert changed_cells(before, before) is None
    assert changed_cells(before, line("name  ", ("13%", "good"), "  end")) == (6, 9)
    assert changed_cells(before, line("name  ", ("12%", "bad"), "  end")) == (6, 9)
    assert changed_cells(before, line("name  ", ("100%", "good"), "  end")) == (6, 15)


def test_blanks_do_not_change_the_colour_in_between() -> None:
    fitted = fit([Column("a", "A", 4, 4, 0), Column("b", "B", 4, 4, 0)], 10)
    assert lay(fitted, {"a": line(("x", "good")), "b": line(("y", "good"))}) == (("x     y   ", "good"),)


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0s"), (134, "2m14s"), (3725, "1h02m"), (270_000, "3d3h")])
def test_how_long_ago_is_said_in_two_units(seconds: float, said: str) -> None:
    assert age(seconds) == said
