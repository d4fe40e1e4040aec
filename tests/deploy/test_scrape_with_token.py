"""The real Prometheus reads a gate's metrics with a token from a file, as docs/endpoint.md says."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import yaml

from streams.testing.waiting import wait_until
from tests.web.served import TOKENS, served

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


def health(address: str) -> dict[str, str]:
    """The health of each target, by job."""
    try:
        with urllib.request.urlopen(f"{address}/api/v1/targets", timeout=10) as answer:
            told = json.loads(answer.read())
    except OSError:
        return {}
    return {target["labels"]["job"]: target["health"] for target in told["data"]["activeTargets"]}


async def test_prometheus_scrapes_with_the_token_of_its_role(
    prometheus: str, promtool: Callable[..., str], tmp_path: Path
) -> None:
    async with served(tmp_path) as here:
        jobs = []
        for role in ("metrics", "support"):
            credentials = tmp_path / f"{role}.token"
            credentials.write_text(TOKENS[role] + "\n")
            jobs.append(
                {
                    "job_name": role,
                    "authorization": {"credentials_file": str(credentials)},
                    "static_configs": [{"targets": [f"127.0.0.1:{here.ops}"]}],
                }
            )
        jobs.append({"job_name": "none", "static_configs": [{"targets": [f"127.0.0.1:{here.ops}"]}]})
        configuration = tmp_path / "prometheus.yml"
        configuration.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
        await asyncio.to_thread(promtool, "check", "config", configuration)
        assert await asyncio.to_thread(scraped, prometheus, configuration) == {
            "metrics": "up",
            "support": "down",
            "none": "down",
        }


def scraped(prometheus: str, configuration: Path) -> dict[str, str]:
    """The health of every target, once each was scraped."""
    port = free_port()
    with (configuration.parent / "prometheus.err").open("wb") as err:
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={configuration.parent / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=err,
            stderr=err,
        )
    with process:
        try:

            def settled() -> dict[str, str]:
                found = health(f"http://127.0.0.1:{port}")
                return found if len(found) == 3 and "unknown" not in found.values() else {}

            return wait_until(settled, SECONDS, "every target scraped")
        finally:
            process.terminate()
