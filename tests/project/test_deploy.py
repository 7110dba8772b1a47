"""deploy/ fits the programs: command lines, configuration, secrets, ports, probes; its copies are of the shipped files.

Nobody here runs a container, a cluster or systemd: deploy/README.md says what is not checked.
"""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.lock_part import part
from dev import deploy_files
from exporter.config import ExporterConfig
from genesys.settings import Address
from receiver.cli import STOP_WITHIN_S
from receiver.config import ReceiverSettings
from receiver.feeds.occurrences import MAX_MEMORY_BYTES
from tests.project.shipped import ROOT, SHIPPED, content
from tests.rules.conftest import path_of

DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONTAINERFILE = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yml").read_text(encoding="utf-8"))
PROGRAMS = {"exporter": "genesys-exporter", "receiver": "rollback-receiver"}
PORTS = {"exporter": ExporterConfig().listen.port, "receiver": ReceiverSettings.model_fields["listen"].default.port}
PLACES = ("compose", "kubernetes", "systemd")
BOTH = pytest.mark.parametrize("name", PROGRAMS)
EVERYWHERE = pytest.mark.parametrize("place", PLACES)
HEALTHY, READY = "/-/healthy", "/-/ready"  # test_names.py asks both programs for them
USER = 65532


def manifests(kind: str = "") -> dict[tuple[str, str], Any]:
    """The documents of deploy/kubernetes by kind and name, or those of one kind."""
    found = [
        document
        for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if path.name != "kustomization.yaml"
    ]
    return {(each["kind"], each["metadata"]["name"]): each for each in found if not kind or each["kind"] == kind}


def manifest(kind: str, name: str) -> Any:
    return manifests(kind)[kind, name]


def pod(name: str) -> Any:
    return manifest("Deployment", PROGRAMS[name])["spec"]["template"]["spec"]


def container(name: str) -> Any:
    (only,) = pod(name)["containers"]
    return only


def unit(name: str) -> dict[str, list[str]]:
    """The settings of a unit; those that may be given more than once are."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "systemd" / f"{PROGRAMS[name]}.service").read_text(encoding="utf-8").splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def need(tool: str) -> str:
    """Where a tool is that no `make` brings: without it the test is skipped, in CI as well, and says so."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not on PATH")
    return found


# Copies of the shipped files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", deploy_files.made(), ids=str)
def test_a_copy_is_what_the_script_makes_of_the_shipped_file(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == deploy_files.made()[path], "run python dev/deploy_files.py"


def test_every_yaml_file_can_be_read() -> None:
    files = [*DEPLOY.rglob("*.yml"), *DEPLOY.rglob("*.yaml")]
    assert len(files) > 20
    for path in files:
        assert all(yaml.safe_load_all(path.read_text(encoding="utf-8"))), path


def test_the_prometheus_rule_has_the_groups_of_the_rule_files_and_no_other() -> None:
    shipped = [group for path in sorted(SHIPPED.glob("*.rules.yml")) for group in content(path.name)["groups"]]
    ((_, rule),) = manifests("PrometheusRule").items()
    assert rule["spec"] == {"groups": shipped}


def test_promtool_accepts_the_prometheus_rule(tmp_path: Path) -> None:
    ((_, rule),) = manifests("PrometheusRule").items()
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    said = checked([path_of("promtool"), "check", "rules", tmp_path / "rules.yml"])
    assert f"{sum(len(group['rules']) for group in rule['spec']['groups'])} rules found" in said


def test_promtool_and_amtool_accept_what_compose_mounts(tmp_path: Path) -> None:
    for volume in COMPOSE["services"]["prometheus"]["volumes"]:
        source, target, *_ = volume.split(":")
        if source.startswith("."):
            shutil.copy(DEPLOY / "compose" / source, tmp_path / Path(target).name)
    checked([path_of("promtool"), "check", "config", tmp_path / "prometheus.yml"])
    checked([path_of("amtool"), "check-config", DEPLOY / "compose" / "alertmanager.yml"])


def checked(command: list[str | Path]) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        pytest.fail(f"{command}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout


def test_the_alertmanager_configuration_has_the_routes_and_inhibitions_of_the_shipped_one() -> None:
    shipped = content("alertmanager.yml")
    spec = manifest("AlertmanagerConfig", "genesys-rollback-bridge")["spec"]

    def written(matchers: list[dict[str, str]]) -> list[str]:
        return [f'{each["name"]}{each["matchType"]}"{each["value"]}"' for each in matchers]

    found = [
        [route["receiver"], written(route["matchers"]), *(route.get(key) for key in deploy_files.ROUTE.values())]
        for route in spec["route"]["routes"]
    ]
    assert found == [
        [route["receiver"], route["matchers"], *(route.get(key) for key in deploy_files.ROUTE)]
        for route in shipped["route"]["routes"]
    ]
    assert {key for route in shipped["route"]["routes"] for key in route} == {
        "receiver",
        "matchers",
        *deploy_files.ROUTE,
    }
    assert [
        (written(rule["sourceMatch"]), written(rule["targetMatch"]), rule["equal"]) for rule in spec["inhibitRules"]
    ] == [(rule["source_matchers"], rule["target_matchers"], rule["equal"]) for rule in shipped["inhibit_rules"]]


def test_what_alertmanager_delivers_reaches_the_service_with_a_token_that_is_there() -> None:
    spec = manifest("AlertmanagerConfig", "genesys-rollback-bridge")["spec"]
    (hook,) = [hook for each in spec["receivers"] for hook in each.get("webhookConfigs", ())]
    space = manifests("Namespace").popitem()[1]["metadata"]["name"]
    assert hook["url"] == f"http://rollback-receiver.{space}.svc:{PORTS['receiver']}/api/v1/alerts"
    token = hook["httpConfig"]["authorization"]["credentials"]
    assert token["key"] in manifest("Secret", token["name"])["stringData"]


# Command lines, configuration, secrets -------------------------------------------------------------------------------


def command(place: str, name: str) -> list[str]:
    if place == "compose":
        return list(COMPOSE["services"][name]["command"])
    if place == "kubernetes":
        return [*container(name)["command"], *container(name)["args"]]
    return shlex.split(unit(name)["ExecStart"][0])


def secrets(place: str, name: str) -> dict[str, str]:
    """Folder and names of the secret files that the program is given."""
    if place == "compose":
        given = COMPOSE["services"][name]["secrets"]
        assert set(given) <= COMPOSE["secrets"].keys()
        return dict.fromkeys(given, "/run/secrets")
    if place == "kubernetes":
        (volume,) = [each["secret"]["secretName"] for each in pod(name)["volumes"] if "secret" in each]
        (folder,) = [each["mountPath"] for each in container(name)["volumeMounts"] if each["name"] == "secrets"]
        return dict.fromkeys(manifest("Secret", volume)["stringData"], folder)
    names = [credential.partition(":")[0] for credential in unit(name)["LoadCredential"]]
    return dict.fromkeys(names, f"/run/credentials/{PROGRAMS[name]}.service")


@BOTH
@EVERYWHERE
def test_a_program_accepts_its_command_line_its_configuration_and_its_secrets(
    place: str, name: str, tmp_path: Path
) -> None:
    for secret in (given := secrets(place, name)):
        (tmp_path / secret).write_text(f"{secret}-of-some-length")
    folder = "/etc/rollback-bridge" + (f"/{name}" if place == "systemd" else "")
    program, *options = (word.replace(folder, str(tmp_path)) for word in command(place, name))
    for path in (DEPLOY / place / "config" / name).iterdir():
        text = path.read_text(encoding="utf-8")
        asked = set(re.findall(r"_file: ([^\s}]+)", text))
        assert asked <= {f"{where}/{secret}" for secret, where in given.items()}
        for where in set(given.values()):
            text = text.replace(f"_file: {where}/", f"_file: {tmp_path}/")
        (tmp_path / path.name).write_text(text)
    assert PROJECT["scripts"][Path(program).name]
    said = checked([Path(sys.executable).with_name(Path(program).name), *options, "--check-config"])
    assert "fine" in said


@BOTH
@EVERYWHERE
def test_it_listens_on_its_usual_port_where_it_can_be_reached(place: str, name: str) -> None:
    file = DEPLOY / place / "config" / name / f"{name}.yml"
    listen = Address.parse(yaml.safe_load(file.read_text(encoding="utf-8"))["listen"])
    assert listen == Address("127.0.0.1" if place == "systemd" else "0.0.0.0", PORTS[name])


@EVERYWHERE
def test_a_receiver_begins_with_watching_and_keeps_its_records_where_it_may_write(place: str) -> None:
    file = DEPLOY / place / "config" / "receiver" / "receiver.yml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert {flow["mode"] for flow in settings["flows"]} == {"observe"}
    folder = "/data"
    if place == "systemd":
        folder = f"/var/lib/{unit('receiver')['StateDirectory'][0]}"
    elif place == "kubernetes":
        assert folder in {mount["mountPath"] for mount in container("receiver")["volumeMounts"]}
    else:
        assert f"records:{folder}" in COMPOSE["services"]["receiver"]["volumes"]
    assert settings["database_url"] == f"sqlite:///{folder}/rollback.db"


# Ports and probes ----------------------------------------------------------------------------------------------------


@BOTH
def test_a_deployment_its_service_and_its_network_policy_agree_on_the_port(name: str) -> None:
    program = PROGRAMS[name]
    assert container(name)["ports"] == [{"name": "http", "containerPort": PORTS[name]}]
    service, policy = manifest("Service", program)["spec"], manifest("NetworkPolicy", program)["spec"]
    assert service["ports"] == [{"name": "http", "port": PORTS[name], "targetPort": "http"}]
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": PORTS[name]}]]
    labels = manifest("Deployment", program)["spec"]["template"]["metadata"]["labels"]
    assert service["selector"] == labels == policy["podSelector"]["matchLabels"]
    assert labels == manifest("Deployment", program)["spec"]["selector"]["matchLabels"]


@BOTH
def test_the_probes_ask_pages_that_the_programs_have(name: str) -> None:
    probes = {key: each["httpGet"] for key, each in container(name).items() if key.endswith("Probe")}
    assert probes["livenessProbe"]["path"] == HEALTHY
    assert probes["readinessProbe"]["path"] == READY
    assert {(probe["path"] in (HEALTHY, READY), probe["port"]) for probe in probes.values()} == {(True, "http")}
    asked = COMPOSE["services"][name]["healthcheck"]["test"][-1]
    assert f"http://127.0.0.1:{PORTS[name]}{HEALTHY}" in asked
    compile(asked, "healthcheck", "exec")


@BOTH
def test_prometheus_scrapes_each_program_as_the_job_of_the_rules(name: str) -> None:
    program = PROGRAMS[name]
    spec = manifest("ServiceMonitor", program)["spec"]
    assert spec["selector"]["matchLabels"] == manifest("Service", program)["metadata"]["labels"]
    (endpoint,) = spec["endpoints"]
    assert (endpoint["port"], endpoint["honorLabels"]) == ("http", True)
    assert (endpoint["interval"], endpoint["scrapeTimeout"]) == (
        content("prometheus.yml")["global"]["scrape_interval"],
        content("prometheus.yml")["global"]["scrape_timeout"],
    )
    assert endpoint["relabelings"] == [{"action": "replace", "targetLabel": "job", "replacement": program}]
    assert program in {job["job_name"] for job in content("prometheus.yml")["scrape_configs"]}


def test_what_compose_connects_is_there() -> None:
    for name in deploy_files.COMPOSED:
        text = (DEPLOY / "compose" / name).read_text(encoding="utf-8")
        for host in re.findall(r"(?:http://|\[\")([a-z]+):\d+", text):
            assert host in COMPOSE["services"]
    for service in COMPOSE["services"].values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert (DEPLOY / "compose" / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


# Hardening -----------------------------------------------------------------------------------------------------------


@BOTH
def test_a_pod_is_not_root_and_cannot_write_but_where_it_must(name: str) -> None:
    allowed = {"/tmp"} | ({"/data"} if name == "receiver" else set())
    assert {mount["mountPath"] for mount in container(name)["volumeMounts"] if not mount.get("readOnly")} == allowed
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(name)["automountServiceAccountToken"] is False
    assert pod(name)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])
def test_a_service_of_compose_has_a_read_only_root_and_no_capability(service: Any) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_a_receiver_that_is_stopped_has_the_time_that_it_needs() -> None:
    times = (
        pod("receiver")["terminationGracePeriodSeconds"],
        int(COMPOSE["services"]["receiver"]["stop_grace_period"].removesuffix("s")),
        int(unit("receiver")["TimeoutStopSec"][0]),
    )
    assert min(times) > STOP_WITHIN_S


@BOTH
def test_a_unit_is_hardened_and_ends_where_a_restart_cures_nothing(name: str) -> None:
    settings = unit(name)
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["NoNewPrivileges"] == ["yes"]
    assert settings["Restart"] == ["always"]
    assert settings["RestartPreventExitStatus"] == ["2"]  # what --check-config exits with
    assert ("DynamicUser" in settings) != ("User" in settings)
    if "User" in settings:
        users = (DEPLOY / "systemd" / f"{PROGRAMS[name]}.sysusers").read_text(encoding="utf-8")
        assert f"\nu {settings['User'][0]} " in users


@BOTH
def test_systemd_accepts_the_unit(name: str, tmp_path: Path) -> None:
    systemd = need("systemd-analyze")
    text = (DEPLOY / "systemd" / f"{PROGRAMS[name]}.service").read_text(encoding="utf-8")
    copy = tmp_path / f"{PROGRAMS[name]}.service"
    copy.write_text(text.replace("/opt/rollback-bridge/bin", str(Path(sys.executable).parent)))
    done = subprocess.run(
        [systemd, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# The image -----------------------------------------------------------------------------------------------------------


def test_the_image_runs_as_a_user_by_number_and_keeps_its_records_on_a_volume() -> None:
    last = CONTAINERFILE.rpartition("\nFROM ")[2]
    assert f"\nUSER {USER}:{USER}\n" in last
    assert "\nVOLUME /data\n" in last
    assert f"\nEXPOSE {PORTS['exporter']} {PORTS['receiver']}\n" in last
    (called,) = re.findall(r'^CMD \["([\w-]+)"', last, re.MULTILINE)
    assert called in PROJECT["scripts"]


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    copied = {
        path.strip("/")
        for line in re.findall(r"^COPY (?!--from)(.*)$", CONTAINERFILE, re.MULTILINE)
        for path in line.split()[:-1]
    }
    kept = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE))
    assert copied == kept
    assert all((ROOT / path).exists() for path in copied)
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert {*built["wheel"]["packages"], *built["wheel"]["shared-data"]} <= copied


def test_the_image_has_the_projects_version_and_no_image_is_of_an_unusual_place() -> None:
    kustomized = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text(encoding="utf-8"))
    assert kustomized["images"] == [{"name": "genesys-rollback-bridge", "newTag": PROJECT["version"]}]
    images = {service["image"] for service in COMPOSE["services"].values()}
    assert f"genesys-rollback-bridge:{PROJECT['version']}" in images
    assert {container(name)["image"] for name in PROGRAMS} == {"genesys-rollback-bridge"}
    assert not [image for image in images if "." in image.partition(":")[0]]


@pytest.fixture(scope="module")
def lock() -> str:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8")


def pinned(entries: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?==", entries, re.MULTILINE))


def closure(names: set[str]) -> set[str]:
    """The packages and all that they need, as their installed metadata say."""
    found: set[str] = set()
    while names:
        found |= names
        names = set(_needed_by(names)) - found
    return found


def _needed_by(names: set[str]) -> Iterator[str]:
    for name in names:
        for line in requires(name) or ():
            needed, _, marker = line.partition(";")
            if not re.search(r"extra|platform|python_version|implementation", marker):
                yield re.split(r"[^\w.-]", needed)[0].lower().replace("_", "-")


def test_the_image_installs_what_the_programs_need_and_no_tool(lock: str) -> None:
    lines = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]
    direct = {re.split(r"[>\[]", line)[0] for line in lines}
    installed = pinned(part(lock))
    assert closure(direct) | {"psycopg-binary"} <= installed
    assert not {"pytest", "mypy", "ruff", "matplotlib", "hypothesis", "hatchling", "numpy"} & installed


def test_the_image_is_built_with_the_build_tool_of_the_project(lock: str) -> None:
    assert closure({"hatchling"}) <= pinned(part(lock, "hatchling"))
    with pytest.raises(KeyError):
        part(lock, "no-such-package")


def test_each_entry_of_the_lock_keeps_its_hashes(lock: str) -> None:
    entries = part(lock)
    assert len(re.findall("--hash=sha256:", entries)) >= len(pinned(entries))
    assert not re.search(r"\\\n(?! )", entries)


# The cluster ---------------------------------------------------------------------------------------------------------


def test_kustomize_puts_every_manifest_together() -> None:
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text(encoding="utf-8"))
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert set(kustomization["resources"]) == there - {"kustomization.yaml", "secrets.example.yaml"}
    kubectl = need("kubectl")
    # As text: to PyYAML an `=` without quotes, as kustomize writes it, is no string.
    built = [*yaml.load_all(checked([kubectl, "kustomize", DEPLOY / "kubernetes"]), yaml.BaseLoader)]
    kinds = sorted(each["kind"] for each in built)
    expected = [kind for kind, _ in manifests() if kind != "Secret"]
    assert kinds == sorted([*expected, "ConfigMap", "ConfigMap"])
    for each in built:
        if each["kind"] == "Deployment":
            spec = each["spec"]["template"]["spec"]
            (mounted,) = [volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume]
            assert mounted in {other["metadata"]["name"] for other in built if other["kind"] == "ConfigMap"}
            assert spec["containers"][0]["image"] == f"genesys-rollback-bridge:{PROJECT['version']}"


def test_the_process_that_unfolds_calendars_fits_into_the_receivers_memory_limit() -> None:
    """Or the kernel ends the receiver instead of the calendar. The receiver itself takes less than 256 MiB."""
    receiver = pod("receiver")["containers"][0]
    limits = [receiver["resources"]["limits"]["memory"]]
    limits += [one for one in [COMPOSE["services"]["receiver"].get("mem_limit")] if one is not None]
    for limit in limits:
        mebibytes = re.fullmatch(r"(\d+)Mi", limit)
        assert mebibytes, f"{limit}: cannot be compared"
        assert int(mebibytes[1]) * 1024**2 >= MAX_MEMORY_BYTES + 256 * 1024**2
