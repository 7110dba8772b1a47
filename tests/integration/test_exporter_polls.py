"""What the page says when Genesys Cloud is late, slow, down, large, or rearranged."""

import itertools

import pytest

from exporter.config import ExporterConfig
from exporter.metrics import SNAPSHOT_METRICS
from genesys.excess import ACCUSING_WINDOWS
from simulator.scenario import Division
from tests.integration.exporter_scene import MINUTE, NOON, Page, many, scene

MAIN_13 = "main 13.0 retail error_exit"
SNAPSHOT = {metric.name for metric in SNAPSHOT_METRICS}


def volumes(page: Page) -> dict[str, float]:
    """Volume of Main IVR's version 13.0 by window."""
    found = page["genesys_flow_volume"]
    return {labels.split()[-1]: value for labels, value in found.items() if labels.startswith(MAIN_13)}


def test_late_corrections_replace_what_was_counted_and_their_age_is_told() -> None:
    with scene() as (_, clouds, exporter):
        # Most reports come ten minutes late: each bucket grows for ten minutes after it was first read.
        clouds["retail"].set(analytics_late_ratio=0.9, analytics_late=600.0)
        first = volumes(exporter.poll(minutes_later=20))["60m"]
        later = exporter.poll(minutes_later=12)

        ended = [labels for labels in later["genesys_flow_volume"] if labels.startswith(MAIN_13)]
        assert len(ended) == 5
        true = 20 * 60
        assert abs(volumes(later)["60m"] - true) < 0.2 * true, "replaced: twice as much, had it been added"
        assert volumes(later)["60m"] > 0.9 * first
        ages = later["genesys_bucket_revision_age_seconds_bucket"]
        assert ages["+Inf retail"] > ages["60.0 retail"]


def test_unsettled_buckets_are_left_out() -> None:
    with scene() as (time, clouds, exporter):
        clouds["retail"].set(analytics_latency=0.0, analytics_jitter=0.0, analytics_late_ratio=0.0)
        for _ in range(100):
            clouds["retail"].happen(event="call", flow="main", fails=False)
        time.pass_(59)
        exporter.pollers["retail"].poll(time.now)
        page = exporter.page()
        assert page["genesys_data_end_timestamp_seconds"] == {"retail": NOON - MINUTE}
        assert volumes(page)["1m"] < 60, "the hundred calls of the minute that began at noon are not settled yet"

        page = exporter.poll(minutes_later=1.1)
        assert page["genesys_data_end_timestamp_seconds"] == {"retail": NOON + MINUTE}
        assert volumes(page)["1m"] >= 100


def test_overlapping_answers_do_not_count_twice() -> None:
    with scene() as (_, _clouds, exporter):
        hours = [volumes(exporter.poll())["60m"] for _ in range(8)]

        true = 20 * 60
        assert all(abs(hour - true) < 0.2 * true for hour in hours), "eight answers share most of their minutes"


def test_a_poll_longer_than_a_minute_leaves_one_out_and_its_samples_stay_until_they_are_stale() -> None:
    with scene() as (time, clouds, exporter):
        exporter.pollers["retail"].poll(time.now)  # with the baseline, which is then not read for an hour
        asked = len(clouds["retail"].requests())
        clouds["retail"].fault({"kind": "slow", "delay_s": 25.0})
        time.pass_(MINUTE)
        seen: list[tuple[float, float]] = []

        def wait(seconds: float) -> bool:
            page = exporter.page()
            seen.append((time.now, page["genesys_data_end_timestamp_seconds"]["retail"]))
            time.pass_(seconds)
            return time.now >= NOON + 6 * MINUTE

        exporter.pollers["retail"].run(clock=lambda: time.now, wait=wait)

        # Four calls of 25 s: each poll takes 100 s, so that every second minute is left out.
        assert [ended - NOON for ended, _ in seen] == [160, 280, 400]
        assert [end - NOON for _, end in seen] == [0, 120, 240], "as of when the poll began"
        lists = [one.at - NOON for one in clouds["retail"].requests()[asked:] if one.path == "/api/v2/flows"]
        assert lists == [60, 180, 300], "no poll begins while another is under way"

        time.now = NOON + 300 + ExporterConfig().stale_after_s + 1
        assert not exporter.page().keys() & SNAPSHOT, "dropped, not frozen"


def test_one_organization_that_is_down_takes_nothing_from_one_that_is_up() -> None:
    with scene("claims", "retail", deadline_s=1.0) as (_, clouds, exporter):
        exporter.poll()
        clouds["claims"].fault({"kind": "down"})
        page = exporter.poll()
        assert page["genesys_up"] == {"claims": 0, "retail": 1}
        assert page["genesys_data_end_timestamp_seconds"]["retail"] == NOON + MINUTE

        page = exporter.poll(minutes_later=3)
        assert {labels.split()[0] for labels in page["genesys_data_end_timestamp_seconds"]} == {"retail"}
        assert volumes(page)["60m"] > 0

        clouds["claims"].fault()
        assert exporter.poll()["genesys_up"] == {"claims": 1, "retail": 1}


@pytest.mark.parametrize("name", ['Main "IVR"', "Main\nIVR", "back\\slash", "Hotline 🎧 ☎️", "ünïcödé, {}=!"])
def test_a_flows_name_comes_out_as_genesys_cloud_has_it(name: str) -> None:
    with scene() as (_, clouds, exporter):
        clouds["retail"].change("main", name=name)

        page = exporter.poll()

        assert any(f" {name} " in f" {labels} " for labels in page["genesys_flow_info"])
        assert volumes(page)["60m"] > 0


def test_a_flow_that_is_renamed_or_moved_has_its_new_names_and_goes_on_being_counted() -> None:
    with scene() as (_, clouds, exporter):
        before = exporter.poll()
        clouds["retail"].change("main", name="Main IVR, new", division=Division(id="d-2", name="Care"))
        after = exporter.poll()

        (info,) = [labels for labels in after["genesys_flow_info"] if " main " in labels]
        assert info.split(" main ")[0] == "d-2 Care", "one series, with the new division"
        assert "Main IVR, new" in info
        since = "genesys_flow_live_since_timestamp_seconds"
        assert after[since] == before[since], "its name is no part of what is judged"
        assert volumes(after)["60m"] > 0


def test_a_flow_that_is_deleted_vanishes_with_everything_that_could_accuse_it() -> None:
    with scene() as (_, clouds, exporter):
        assert volumes(exporter.poll())
        clouds["retail"].happen(event="delete_flow", flow="main")

        page = exporter.poll()

        told = [name for name, values in page.items() if any("main" in labels.split() for labels in values)]
        assert told == []
        assert page["genesys_up"] == {"retail": 1}


def test_of_ten_thousand_flows_nothing_counts_of_a_poll_in_which_one_page_fails() -> None:
    config = ExporterConfig.model_validate({"flows": [{"match": "*", "act_on": []}]})  # fewer windows: it is quicker
    with scene(scenario=many(10_000), config=config) as (_, clouds, exporter):
        cloud = clouds["retail"]
        first = exporter.poll()
        assert len(first["genesys_flow_info"]) == 10_000
        pages = [one for one in cloud.requests() if one.path == "/api/v2/flows"]
        assert len(pages) == 20

        # Where the list cannot be limited by date it is read whole again; its eleventh page is refused.
        cloud.switch(published_after="refused")
        cloud.change("flow-0", name="renamed")
        refuse = {"event": "faults", "faults": [{"kind": "status", "status": 403, "times": 1}]}
        listing = {"method": "GET", "path_prefix": "/api/v2/flows"}
        cloud.cue({"match": listing, "when": "before", "skip": 11, "do": refuse})
        failed = exporter.poll()
        assert failed["genesys_up"] == {"retail": 0}
        assert {name: failed.get(name) for name in SNAPSHOT} == {name: first.get(name) for name in SNAPSHOT}

        after = exporter.poll()
        assert after["genesys_up"] == {"retail": 1}
        assert any("renamed" in labels for labels in after["genesys_flow_info"])
        assert len(after["genesys_flow_info"]) == 10_000


def test_with_analytics_twenty_minutes_late_nobody_is_accused_and_the_delay_shows() -> None:
    with scene() as (_, clouds, exporter):
        cloud = clouds["retail"]
        cloud.fault({"kind": "analytics_lag", "lag_s": 1200.0})
        cloud.happen(event="publish", flow="main", version="14.0", error_ratio=1.0)
        pages = [exporter.poll() for _ in range(15)]

        ends = [page["genesys_data_end_timestamp_seconds"]["retail"] for page in pages]
        assert {later - earlier for earlier, later in itertools.pairwise(ends)} == {MINUTE}, "data advance"
        late = [
            end - page["genesys_newest_event_timestamp_seconds"]["retail"]
            for end, page in zip(ends, pages, strict=True)
        ]
        assert all(1080 <= seconds <= 1320 for seconds in late), "for people"
        errors = [
            page["genesys_flow_errors"][f"main 14.0 retail error_exit {window}"]
            for page in pages
            for window in ACCUSING_WINDOWS
        ]
        assert set(errors) == {0}, "what nobody knows is no error"

        cloud.fault()
        caught_up = exporter.poll()
        assert caught_up["genesys_flow_errors"]["main 14.0 retail error_exit 15m"] > 100, "and then it counts"
        ages = caught_up["genesys_bucket_revision_age_seconds_bucket"]
        assert ages["+Inf retail"] - ages["600.0 retail"] > 5
