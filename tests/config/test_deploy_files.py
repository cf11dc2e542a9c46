"""The recipes in deploy/ agree with the product: settings, commands, metrics, files."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import VERSION
from tests.environment import ROOT, variable_names

DEPLOY = ROOT / "deploy"
PROCESSES = ("web", "ingest", "pool", "worker")


def compose() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return made


def metric_names(expressions: str) -> set[str]:
    """The names of our metrics in PromQL, without the suffixes of histograms."""
    found = re.findall(r"\b(?:whatsapp|marketplace|yclients)_[a-z_]+", expressions)
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in found}


def described_metrics() -> set[str]:
    return metric_names((ROOT / "docs" / "operators.md").read_text())


def test_the_example_names_every_setting_and_no_other() -> None:
    named = set(re.findall(r"^#?([A-Z_0-9]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named - {"POSTGRES_PASSWORD"} == variable_names()


@pytest.mark.parametrize("name", PROCESSES)
def test_systemd_and_compose_start_the_same_processes(name: str) -> None:
    unit = (DEPLOY / "systemd" / f"salon-whatsapp-{name}.service").read_text()
    [start] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    by_unit = [Path(word).name for word in shlex.split(start)]
    by_compose = [Path(word).name for word in compose()["services"][name]["command"]]
    assert [word for word in by_unit if word != "127.0.0.1"] == [
        word
        for word in by_compose
        if word != "0.0.0.0"  # noqa: S104  inside the container's network
    ]


def test_the_image_holds_what_the_product_needs_and_nothing_else() -> None:
    recipe = (DEPLOY / "Dockerfile").read_text()
    copied = set(re.findall(r"^COPY (\w[\w.]*) ", recipe, re.MULTILINE))
    apps = {"config", "marketplace", "onboarding", "whatsapp"}
    assert copied == apps | {"locale", "locale_altegio", "manage.py", "requirements.txt", "templates"}
    context = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert context == copied
    assert "USER product" in recipe
    assert "--require-hashes" in recipe


def test_every_image_is_pinned() -> None:
    images = [service.get("image", "") for service in compose()["services"].values()]
    images += re.findall(r"^ARG PYTHON=(\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert [
        image for image in images if image != "salon-whatsapp" and not re.search(r":\d+\.\d+", image)
    ] == []


def test_alerts_and_dashboard_ask_for_metrics_that_are_served() -> None:
    asked = metric_names((DEPLOY / "prometheus" / "alerts.yml").read_text())
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            asked |= metric_names(target["expr"])
    # tests/config/test_metrics.py sees to it that what the operators' page describes is served.
    assert asked - described_metrics() == set()


def test_every_alert_says_what_to_do() -> None:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        assert rule["annotations"]["action"], rule["alert"]


def test_the_proxy_limits_bodies_and_keeps_secrets_out_of_its_log() -> None:
    proxy = (DEPLOY / "nginx.conf").read_text()
    assert "client_max_body_size 1m; proxy_pass" in proxy
    assert "client_max_body_size 4m; proxy_pass" in proxy
    assert "$request_uri" not in re.sub(r"return 301 \S+;", "", proxy)
    assert "$args" not in proxy


def test_the_version_is_the_same_everywhere() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()


def test_all_who_read_or_remove_files_of_messages_see_the_same_folder() -> None:
    services = compose()["services"]
    for name in ("web", "pool", "worker"):
        assert "media:/srv/product/data/media" in services[name]["volumes"], name
