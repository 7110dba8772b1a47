"""`organizations.yml`: what is accepted, and what is said about what is not."""

import datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from genesys.guide import Guide
from genesys.organizations import REGIONS, Analytics, Organizations, open_organization
from genesys.platform import Platform
from genesys.settings import SettingsError, load

FILES = Path(__file__).with_name("organizations_yml")
ENVIRON = {"RETAIL_SECRET": "secret-in-variable", "RETAIL_ID": "id-in-variable"}
BAD_FILES = sorted(FILES.glob("*.bad.yml"))


def organizations(name: str):
    return load(FILES / name, Organizations, environ=ENVIRON).organizations


@pytest.mark.parametrize("file", BAD_FILES, ids=lambda file: file.name.removesuffix(".bad.yml"))
def test_a_bad_file_is_refused_in_the_words_of_its_first_line(file):
    expected = file.read_text().partition("\n")[0].removeprefix("# ")
    with pytest.raises(SettingsError) as caught:
        load(file, Organizations, environ=ENVIRON)
    said = str(caught.value)
    assert expected in said
    assert said.startswith(f"{file}: ")
    assert "do-not-repeat-me" not in said
    assert "4711" not in said


def test_a_minimal_file_has_the_documented_defaults():
    (retail,) = organizations("minimal.ok.yml")
    assert retail.endpoints == ("https://api.mypurecloud.ie", "https://login.mypurecloud.ie")
    assert (retail.name, retail.dialect, retail.timeout_s, retail.deadline_s) == ("retail", "platform", 10, 30)
    assert retail.analytics == Analytics(bucket_s=60, settle_s=60, history_bucket_s=3600, history_s=604800)
    assert retail.credentials.client_id == "an-id"
    assert retail.credentials.client_secret == SecretStr("secret-in-variable")


def test_every_key_can_be_given():
    retail, simulated = organizations("everything.ok.yml")
    assert retail.credentials.client_id == "id-in-variable"
    assert retail.credentials.client_secret.get_secret_value() == "secret-in-file"
    assert (retail.analytics.bucket_s, retail.analytics.history_s) == (6, 60480)
    watched = [(action.action_id, action.flow_id, action.slow_s) for action in retail.analytics.data_actions]
    assert watched == [("look-up", "main", 0.5), ("balance", "main", 3.0)]
    assert simulated.credentials.client_id == "id-in-file"
    assert simulated.endpoints == ("http://127.0.0.1:9744", "http://[::1]:9744")


def test_what_is_asked_for_besides_the_usual_is_told_so_that_exporter_and_receiver_can_be_compared():
    loaded = load(FILES / "everything.ok.yml", Organizations, environ=ENVIRON)
    assert loaded.told == "retail (asks for flow outcomes and 2 data action(s) of 1 flow(s)), simulated.1"
    assert Analytics(outcomes=True).asked_for == "flow outcomes"


def test_nine_durations_can_be_told_apart():
    actions = [{"action_id": f"a{n}", "flow_id": "main", "slow_s": float(n)} for n in range(1, 10)]
    more = {"action_id": "as the first", "flow_id": "main", "slow_s": 1.0}
    assert len(Analytics.model_validate({"data_actions": [*actions, more]}).data_actions) == 10


def test_an_organization_of_the_guide_names_its_flows_and_is_warned_of():
    loaded = load(FILES / "guide.ok.yml", Organizations, environ=ENVIRON)
    retail, guided = loaded.organizations
    assert (retail.dialect, retail.flows) == ("platform", ())
    assert [(flow.id, flow.name, flow.type, flow.division) for flow in guided.flows] == [
        ("main", "Main IVR", "inboundcall", "Home"),
        ("holidays", "Holidays", "inboundcall", ""),
    ]
    (warning,) = loaded.warnings()
    assert warning.startswith("organizations[1].dialect: no Genesys Cloud organization is known to answer the paths")
    assert "14 calls in each poll" in warning


def test_a_secret_does_not_show():
    settings = organizations("everything.ok.yml")
    assert "secret-in" not in f"{settings} {settings!r} {[one.model_dump_json() for one in settings]}"


def test_all_regions_of_the_reference_are_known():
    assert len(REGIONS) == 18
    assert REGIONS["mypurecloud.com.au"] == ("https://api.mypurecloud.com.au", "https://login.mypurecloud.com.au")


@pytest.mark.parametrize(
    ("settle_s", "now", "end"),
    [(60, "14:05:59", "14:04"), (60, "14:06:00", "14:05"), (0, "14:06:00", "14:06"), (90, "14:06:00", "14:04")],
)
def test_the_newest_settled_bucket_has_ended_and_had_its_time_to_settle(settle_s, now, end):
    def at(clock: str) -> float:
        return datetime.datetime.fromisoformat(f"2026-11-22T{clock}+00:00").timestamp()

    analytics = Analytics(settle_s=settle_s)
    assert analytics.settled_end(at(now)) == at(end)
    assert analytics.history_end(at(now)) == at("14:00")


@pytest.mark.parametrize(("position", "kind"), [(0, Platform), (1, Guide)])
def test_opening_an_organization_sends_nothing(position, kind):
    calls = []
    cloud = open_organization(organizations("guide.ok.yml")[position], observe=calls.append)
    assert isinstance(cloud, kind)
    assert cloud.rate_limit is None
    cloud.close()
    assert calls == []


def test_a_faulty_entry_does_not_also_count_as_a_missing_one(tmp_path):
    path = tmp_path / "organizations.yml"
    path.write_text("organizations: [{name: retail, region: mypurecloud.ie, credentials: {client_id: x}}]")
    with pytest.raises(SettingsError) as caught:
        load(path, Organizations)
    assert [problem.path for problem in caught.value.problems] == ["organizations[0].credentials.client_secret"]
