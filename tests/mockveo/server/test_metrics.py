"""`--metrics`: what Prometheus is shown, of one process and of several workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis_process import redis_process
from serve_process import running

import mockveo

KEY = {"Authorization": "Bearer sk-test"}


def samples(http: httpx.Client) -> dict[tuple[str, ...], float]:
    """Return the samples by their name and the values of their labels."""
    response = http.get("/_mockveo/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def traffic(http: httpx.Client) -> None:
    """Create two jobs, of which one fails at first, and poll one of them."""
    http.put("/_mockveo/scenario", json={"scenario": {"faults": [{"operation": "create", "nth": 1, "status": 503}]}})
    form = {"prompt": (None, "p"), "quality": (None, "best")}
    answers = [http.post("/v1/videos", files=form) for _ in range(3)]
    http.get(f"/v1/videos/{answers[-1].json()['id']}")


def test_metrics_count_exchanges_and_show_jobs_and_findings() -> None:
    with mockveo.serve(metrics=True, render=False) as server:
        with httpx.Client(base_url=server.url, headers=KEY) as http:
            traffic(http)
            http.get("/v1/videos/unknown")
            first, second = samples(http), samples(http)
    # Sorted labels: fault, operation, status.
    assert first["mockveo_requests_total", "", "createVideo", "200"] == 2
    assert first["mockveo_requests_total", "status", "createVideo", "503"] == 1
    assert first["mockveo_requests_total", "", "retrieveVideo", "400"] == 1
    assert first["mockveo_request_seconds_count", "retrieveVideo"] == 2
    assert first["mockveo_jobs", "queued"] == 2
    assert any(name[0] == "mockveo_findings" for name in first)
    # Neither scrapes nor other requests to the control API are traffic.
    assert {key: value for key, value in second.items() if "total" in key[0]} == {
        key: value for key, value in first.items() if "total" in key[0]
    }


def test_metrics_of_a_file_show_its_latency(tmp_path: Path) -> None:
    with mockveo.serve(metrics=True, store=tmp_path / "mockveo.db", render=False) as server:
        with httpx.Client(base_url=server.url, headers=KEY) as http:
            traffic(http)
            assert samples(http)["mockveo_store_seconds_count",] >= 3
            assert samples(http)["mockveo_store_errors_total",] == 0


def test_metrics_of_several_workers_are_the_sums(tmp_path: Path) -> None:
    with redis_process(tmp_path) as redis:
        arguments = ("--workers", "2", "--metrics", "--store", redis.url, "--no-render", "--quiet")
        with running(tmp_path, *arguments) as server:
            for _ in range(8):
                with httpx.Client(base_url=server.url, headers=KEY) as http:
                    assert http.post("/v1/videos", files={"prompt": (None, "p")}).status_code == 200
            for _ in range(3):
                with httpx.Client(base_url=server.url, headers=KEY) as http:
                    shown = samples(http)
                    assert shown["mockveo_requests_total", "", "createVideo", "200"] == 8
                    assert shown["mockveo_jobs", "queued"] + shown.get(("mockveo_jobs", "in_progress"), 0) == 8
                    assert shown["mockveo_store_seconds_count",] >= 8


def test_without_metrics_nothing_is_imported_and_the_path_says_how(client: httpx.Client) -> None:
    answer = client.get("/_mockveo/metrics")
    assert (answer.status_code, "mockveo serve --metrics" in answer.text) == (404, True)
    code = "import sys, mockveo; mockveo.app(); sys.exit('prometheus_client' in sys.modules or 'redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "mockveo.server.control_api.prometheus", raising=False)
    with pytest.raises(mockveo.server.app.SettingsError, match=r"pip install 'mockveo\[metrics\]'"):
        mockveo.app(metrics=True)
