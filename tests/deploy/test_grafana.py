"""The committed dashboard is what the generator writes, and Grafana finds everything it is told of."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy/grafana"
BOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards/mesura.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def test_generating_again_changes_nothing() -> None:
    spec = importlib.util.spec_from_file_location("mesura_grafana_generate", GRAFANA / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = generate
    try:
        spec.loader.exec_module(generate)
        assert generate.text() == (GRAFANA / "dashboards/mesura.json").read_text()
    finally:
        del sys.modules[spec.name]


def test_every_panel_asks_the_provisioned_datasource() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    asked = {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    asked |= {panel["datasource"]["uid"] for panel in PANELS}
    assert asked == {source["uid"]}


def test_rate_intervals_follow_the_scrape_interval() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]


def test_panels_do_not_overlap_and_fit_the_grid() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        position = panel["gridPos"]
        assert position["x"] + position["w"] <= 24
        storage = {
            (position["x"] + across, position["y"] + down)
            for across in range(position["w"])
            for down in range(position["h"])
        }
        assert not storage & taken, panel["title"]
        taken |= storage


def test_panels_are_told_apart_and_say_what_they_answer() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_the_rows_are_there() -> None:
    assert [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"] == [
        "Business",
        "Service health",
        "Kafka and engine",
        "Processes of a machine",
    ]


def test_panels_the_runbook_speaks_of_exist() -> None:
    """In the section of an alert what stands in italics is a panel of the dashboard."""
    sections = re.split(r"^#+ ", (ROOT / "docs/operations.md").read_text(), flags=re.MULTILINE)
    text = "".join(section for section in sections if section.startswith("Mesura"))
    spoken_of = set(re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", text))
    assert spoken_of
    assert spoken_of <= {panel["title"] for panel in PANELS}
