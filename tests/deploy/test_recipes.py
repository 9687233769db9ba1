"""What `deploy/` holds is valid, and names settings, addresses and files that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from worldloom.streamer.config import ServerSettings, load
from worldloom.streamer.server import create_app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
KUBERNETES = "1.30"
SECRET = "thirty-two characters, or some more"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def named(path: Path, kind: str) -> dict[str, Any]:
    return next(one for one in documents(path) if one["kind"] == kind)


def servers() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(where, pod spec, container) of everything that runs the image."""
    pods = [named(path, "Deployment")["spec"]["template"]["spec"] for path in MANIFESTS]
    pods.append(named(DEPLOY / "agones" / "fleet.yaml", "Fleet")["spec"]["template"]["spec"]["template"]["spec"])
    for pod in pods:
        for container in pod["containers"]:
            yield container["name"], pod, container


def installed(tool: str) -> str:
    found = shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)
    if found is None:
        pytest.skip(f"no {tool} on this machine")
    return found


def environment(found: dict[str, str]) -> dict[str, str]:
    """What a shell would put in, put in."""
    values = {"WORLDLOOM_SECRET": SECRET, "TURN_SECRET": SECRET, "PUBLIC_IP": "192.0.2.7", "PUBLIC_NAME": "localhost"}
    return {name: re.sub(r"\$\{(\w+)[^}]*\}", lambda m: values[m[1]], value) for name, value in found.items()}


def test_the_dockerfile_is_well_written() -> None:
    done = subprocess.run([installed("hadolint"), DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_built_from_files_that_there_are() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
        for path in line.split()[:-1]:
            assert (ROOT / path).exists(), path
    kept = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / path).exists() for path in kept)
    assert {"constraints.txt", "deploy/install.sh", "pyproject.toml"} <= set(kept)
    subprocess.run(["sh", "-n", DEPLOY / "install.sh"], check=True)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_hold_before_the_schemas(path: Path) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate").validate
    for document in documents(path):
        validate(document, KUBERNETES, strict=True)


def test_the_pod_of_a_game_server_holds_before_the_schemas() -> None:
    """Agones' own kinds have no schema there; the pod inside is Kubernetes'."""
    validate = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate").validate
    server = named(DEPLOY / "agones" / "fleet.yaml", "Fleet")["spec"]["template"]["spec"]
    pod = server["template"]
    validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod["spec"]}, KUBERNETES, strict=True
    )
    names = {container["name"] for container in pod["spec"]["containers"]}
    assert {server["container"], *(port["container"] for port in server["ports"])} <= names
    assert server["health"]["periodSeconds"] > 2 * 2.0  # lifecycle.py pings every 2 s
    scaler = named(DEPLOY / "agones" / "fleet.yaml", "FleetAutoscaler")["spec"]
    assert scaler["fleetName"] == "worldloom"
    assert scaler["policy"]["buffer"]["minReplicas"] >= scaler["policy"]["buffer"]["bufferSize"]


def test_probes_ask_for_addresses_that_there_are() -> None:
    paths = set(create_app(ServerSettings(worlds=("toy",))).openapi()["paths"])
    probes = [
        container[probe]["httpGet"]["path"]
        for _, _, container in servers()
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        if "httpGet" in container.get(probe, {})
    ]
    assert set(probes) == {"/livez", "/readyz"} <= paths


def test_pods_get_time_to_say_goodbye_and_no_more_rights_than_they_need() -> None:
    for name, pod, container in servers():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert container["securityContext"]["readOnlyRootFilesystem"], name
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["limits"], name
        if name == "worldloom":
            assert pod["terminationGracePeriodSeconds"] >= 10  # docs/operations.md
            assert any(mount["mountPath"] == "/dev/shm" for mount in container["volumeMounts"])


def test_settings_in_manifests_and_compose_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = tmp_path / "server.toml"
    toml.write_text(named(DEPLOY / "kubernetes" / "server.yaml", "ConfigMap")["data"]["server.toml"])
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["worldloom"]["environment"]
    found = [{entry["name"]: entry.get("value", SECRET) for entry in c.get("env", ())} for _, _, c in servers()]
    for variables, config in [(compose, None), *((one, toml) for one in found if "WORLDLOOM_SECRET" in one)]:
        ours = {k: v for k, v in environment(variables).items() if k.startswith("WORLDLOOM_")}
        known = ServerSettings.model_fields
        assert all(name.removeprefix("WORLDLOOM_").split("__")[0].lower() in known for name in ours)
        with monkeypatch.context() as patch:
            for name, value in ours.items():
                patch.setenv(name, value)
            settings = load(config)
        assert settings.webrtc.ice.for_server
        assert settings.webrtc.ice.turn[0].startswith("turn:")
        assert settings.webrtc.ice.turn_secret is not None


def test_the_turn_server_relays_from_the_ports_that_are_named() -> None:
    turn = named(DEPLOY / "kubernetes" / "turn.yaml", "Deployment")["spec"]["template"]["spec"]["containers"][0]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["turn"]
    for arguments in (turn["args"], compose["command"]):
        given = dict(argument.partition("=")[::2] for argument in arguments)
        assert (given["--min-port"], given["--max-port"], given["--listening-port"]) == ("49160", "49359", "3478")
        assert {"--use-auth-secret", "--no-cli"} <= set(given)


def test_the_compose_file_holds_before_its_own_tool(tmp_path: Path) -> None:
    docker = installed("docker")
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no docker compose on this machine")
    variables = {"WORLDLOOM_SECRET": SECRET, "TURN_SECRET": SECRET, "PUBLIC_IP": "192.0.2.7", "HOME": str(tmp_path)}
    command = [docker, "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
    assert set(json.loads(done.stdout)["services"]) == {"worldloom", "turn"}
