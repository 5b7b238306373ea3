"""The manifests hold against Kubernetes' own schemas, and against what the services are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from ruamel.yaml import YAML

from deploy.identities import REGISTRATION_INTAKE, SERVICES, TOPOLOGY, TOPOLOGY_PARTNERS
from deploy.links import LINKED, keep_link_keys
from services.chassis.health import Health, health_router
from services.chassis.metrics import metrics_router
from services.chassis.settings import CommonSettings
from services.notifications.settings import Settings as NotificationsSettings
from services.notifications.transport import parse_transport
from services.registration.settings import Settings as RegistrationSettings
from services.reporting.settings import Settings as ReportingSettings
from tests.workspace.members import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.31", "1.34", "1.37")
SETTINGS: dict[str, type[CommonSettings]] = {
    "registration": RegistrationSettings,
    "notifications": NotificationsSettings,
    "reporting": ReportingSettings,
}
SEEDS = {
    "registration": {"registration", REGISTRATION_INTAKE},
    "notifications": {"notifications"},
    "reporting": {"reporting"},
    "topology": {TOPOLOGY, TOPOLOGY_PARTNERS},
}
Json = dict[str, Any]


def documents(path: Path) -> Iterator[Json]:
    yield from YAML(typ="safe", pure=True).load_all(path.read_text(encoding="utf-8"))


RESOURCES: list[Json] = [
    document
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in documents(path)
]
WORKLOADS: dict[str, Json] = {
    each["metadata"]["name"]: each for each in RESOURCES if each["kind"] in {"StatefulSet", "Job"}
}


def label(resource: Json) -> str:
    return f"{resource['kind']}-{resource['metadata']['name']}"


def named(kind: str, name: str) -> Json:
    (found,) = (each for each in RESOURCES if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def pod(name: str) -> Json:
    found: Json = WORKLOADS[name]["spec"]["template"]
    return found


def container(name: str) -> Json:
    (found,) = pod(name)["spec"]["containers"]
    return dict(found)


def told(name: str) -> dict[str, str]:
    """What the container's environment holds, with the name of the secret's key for what is secret."""
    settings: dict[str, str] = {}
    for source in container(name)["envFrom"]:
        settings |= named("ConfigMap", source["configMapRef"]["name"])["data"]
    for entry in container(name).get("env", ()):
        settings[entry["name"]] = entry["valueFrom"]["secretKeyRef"]["key"]
    return settings


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resource", RESOURCES, ids=label)
def test_a_manifest_is_what_kubernetes_takes(resource: Json, version: str) -> None:
    """Strictly: a field that it would ignore is a mistake."""
    kubernetes_validate.validate(resource, version, strict=True)


def test_the_schemas_refuse_a_field_that_does_not_exist() -> None:
    wrong = named("StatefulSet", "reporting") | {"spec": named("StatefulSet", "reporting")["spec"] | {"replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_kustomize_is_told_of_every_file() -> None:
    (listed,) = documents(FOLDER / "kustomization.yaml")
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert sorted(listed["resources"]) == sorted(files)


def test_every_service_and_the_one_that_declares_streams_is_there() -> None:
    assert set(WORKLOADS) == {*SERVICES, "topology"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_once_on_a_volume_of_its_own(name: str) -> None:
    stateful = named("StatefulSet", name)["spec"]
    assert stateful["replicas"] == 1
    (claim,) = stateful["volumeClaimTemplates"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container(name)["volumeMounts"]}
    assert mounts[claim["metadata"]["name"]] == "/data"
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert stateful["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert mounts["tmp"] == "/tmp"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_asked_whether_it_lives_and_whether_it_is_ready(name: str) -> None:
    probed = container(name)
    paths = {kind: probed[kind]["httpGet"]["path"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {
        "startupProbe": "/health/live",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/serving",
    }
    served = {getattr(route, "path", None) for route in health_router(Health.__new__(Health)).routes}
    assert set(paths.values()) <= served
    # A start that hangs is found by the face itself, and only then does it answer with 503.
    start, live = probed["startupProbe"], probed["livenessProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 60, "an image starts slowly on a busy node"
    assert live["timeoutSeconds"] > 1
    (port,) = probed["ports"]
    assert {probed[kind]["httpGet"]["port"] for kind in paths} == {port["name"]}
    assert named("Service", name)["spec"]["ports"][0]["targetPort"] == port["name"]
    assert f"DEELNAME_HTTP_PORT={port['containerPort']}" in dockerfile()


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_container_may_do_as_little_as_it_can(name: str) -> None:
    spec = pod(name)["spec"]
    assert spec["automountServiceAccountToken"] is False
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in dockerfile()
    assert context["fsGroup"] == context["runAsGroup"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container(name)["resources"]["limits"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_told_what_its_settings_know(name: str, tmp_path: Path) -> None:
    """A misspelt setting would be ignored; a missing one ends the service."""
    given = {key.removeprefix("DEELNAME_").lower(): value for key, value in told(name).items()}
    image = {"data": "/data", "http_host": "0.0.0.0", "http_port": "8080"}
    known = SETTINGS[name].model_fields
    assert set(given) <= set(known)
    needed = {field for field, about in known.items() if about.is_required()}
    assert needed <= set(given) | set(image) | {"nats_name"}
    for key, value in image.items():
        assert f"DEELNAME_{key.upper()}={value}" in dockerfile()
    if name == "notifications":
        given["transport"] = "smtps://user:password@relay.example"
    if name in LINKED:
        given["link_keys"] = str(keep_link_keys(tmp_path / Path(given["link_keys"]).name))
    SETTINGS[name].model_validate(given | image)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_container_is_given_its_own_seeds_and_no_others(name: str) -> None:
    (volume,) = (each for each in pod(name)["spec"]["volumes"] if "secret" in each)
    (mount,) = (each for each in container(name)["volumeMounts"] if each["name"] == volume["name"])
    assert mount["readOnly"] is True
    assert volume["secret"]["secretName"] == f"deelname-{name}"
    files = {item["path"] for item in volume["secret"]["items"]}
    assert files == {f"{seed}.nk" for seed in SEEDS[name]} | {f"{name}.links" for _ in {name} & {*LINKED}} | {"ca.pem"}
    named_files = {value for value in told(name).values() if value.startswith("/run/")}
    assert named_files == {f"{mount['mountPath']}/{file}" for file in files}
    assert volume["secret"]["defaultMode"] == 0o440


def test_no_secret_stands_in_the_open() -> None:
    assert not [each for each in RESOURCES if each["kind"] == "Secret"]
    for each in RESOURCES:
        if each["kind"] == "ConfigMap":
            assert not [key for key in each["data"] if re.search("PASSWORD|TRANSPORT|TOKEN|SEED$", key)]


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_container_reaches_the_broker_and_little_else(name: str) -> None:
    policy = named("NetworkPolicy", name)["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["podSelector"]["matchLabels"] == pod(name)["metadata"]["labels"]
    out = {(port["protocol"], port["port"]) for rule in policy["egress"] for port in rule["ports"]}
    mail = {("TCP", 465), ("TCP", 587)} if name == "notifications" else set()
    assert out == {("TCP", 4222), ("UDP", 53), ("TCP", 53)} | mail
    into = {port["port"] for rule in policy.get("ingress", ()) for port in rule["ports"]}
    assert into == (set() if name == "topology" else {8080})
    assert all(rule["to"] for rule in policy["egress"]), "a rule without a peer is open to everybody"
    assert all(rule["from"] for rule in policy.get("ingress", ()))


def test_prometheus_reaches_the_metrics_of_every_service_from_a_labelled_namespace_and_nobody_else_does() -> None:
    policy = named("NetworkPolicy", "metrics")["spec"]
    assert policy["policyTypes"] == ["Ingress"], "nobody is let out by it"
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    assert peer == {
        "namespaceSelector": {"matchLabels": {"deelname/metrics": "scrape"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
    }, "both in one entry: two entries would let in whoever has either"
    selected = {name for name in WORKLOADS if _selects(policy["podSelector"], pod(name)["metadata"]["labels"])}
    assert selected == set(SERVICES)
    for name in SERVICES:
        annotations = pod(name)["metadata"]["annotations"]
        assert annotations["prometheus.io/scrape"] == "true"
        served = metrics_router(Health.__new__(Health)).routes
        assert annotations["prometheus.io/path"] in [getattr(route, "path", None) for route in served]
        (port,) = rule["ports"]
        assert (
            annotations["prometheus.io/port"] == str(port["port"]) == str(container(name)["ports"][0]["containerPort"])
        )


@pytest.mark.parametrize("name", SERVICES)
def test_metrics_of_a_pod_that_is_not_ready_are_reached_by_a_name_of_their_own(name: str) -> None:
    found = named("Service", f"{name}-metrics")["spec"]
    assert (found["clusterIP"], found["publishNotReadyAddresses"]) == ("None", True)
    assert found["selector"].items() <= pod(name)["metadata"]["labels"].items()
    (port,) = found["ports"]
    (listening,) = container(name)["ports"]
    assert (port["targetPort"], port["port"]) == (listening["name"], listening["containerPort"])
    assert "publishNotReadyAddresses" not in named("Service", name)["spec"], "people are sent to who serves them"
    assert f"{SERVICES[0]}-metrics.deelname.svc:8080" in (FOLDER / "README.md").read_text(encoding="utf-8")


def _selects(selector: Json, labels: Mapping[str, str]) -> bool:
    if not selector["matchLabels"].items() <= labels.items():
        return False
    assert all(each["operator"] == "In" for each in selector["matchExpressions"])
    return all(labels.get(each["key"]) in each["values"] for each in selector["matchExpressions"])


def test_whoever_has_no_policy_speaks_to_nobody() -> None:
    nobody = named("NetworkPolicy", "nobody")["spec"]
    assert nobody == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("name", WORKLOADS)
def test_an_image_is_one_that_the_dockerfile_makes(name: str) -> None:
    image, _, version = container(name)["image"].partition(":")
    service = "tools" if name == "topology" else name
    assert image == f"deelname-{service}", "no registry: an overlay names it"
    assert re.search(rf"^FROM \w+ AS {service}$", dockerfile(), re.MULTILINE)
    member = ROOT / ("cli" if service == "tools" else f"services/{service}") / "pyproject.toml"
    assert f'version = "{version}"' in member.read_text(encoding="utf-8")


def dockerfile() -> str:
    return (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def test_the_page_names_settings_that_there_are() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    of_the_job = {"DEELNAME_REPLICAS", "DEELNAME_PARTNERS"}
    known = {f"DEELNAME_{field.upper()}" for settings in SETTINGS.values() for field in settings.model_fields}
    named = set(re.findall(r"`(DEELNAME_[A-Z_]+)`", page))
    assert of_the_job < named <= known | of_the_job


KUBECTL = """#!/bin/sh
printf '%s\\n' "$*" >>"$SAID"
for word in "$@"; do
  case $word in
    --from-file=*) test -s "${word#*=}" || exit 1 ;;
  esac
done
test "$1 $2" != "apply -f" || test -f "$3" || exit 1
test "$1 $2" != "apply -k" || test -f "$3/kustomization.yaml"
"""


def test_the_commands_of_the_page_make_every_secret_that_the_manifests_name(tmp_path: Path) -> None:
    """As they stand there; kubectl alone writes down what it is asked for, and wants the files to be there."""
    (script,) = re.findall(r"^```sh\n(.*?)^```$", (FOLDER / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    kubectl, said = tmp_path / "bin" / "kubectl", tmp_path / "said"
    kubectl.parent.mkdir()
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    ran = subprocess.run(
        ["sh", "-eu"],
        input=script.replace("cat >", "printf 'smtps://USER:PASSWORD@relay.example\\n' >"),
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{kubectl.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SAID": str(said),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    made: dict[str, set[str]] = {}
    for line in said.read_text().splitlines():
        words = line.split()
        if words[2:5] == ["create", "secret", "generic"]:
            assert words[:2] == ["-n", "deelname"]
            made[words[5]] = {Path(word).name for word in words[6:]}
    wanted = {f"deelname-{name}": {f"{seed}.nk" for seed in SEEDS[name]} | {"ca.pem"} for name in WORKLOADS}
    for name in LINKED:
        wanted[f"deelname-{name}"].add(f"{name}.links")
    (secret,) = [entry["valueFrom"]["secretKeyRef"] for entry in container("notifications")["env"]]
    wanted[secret["name"]].add(secret["key"])
    assert made == wanted
    parse_transport((tmp_path / "production" / "secrets" / "transport").read_text())
