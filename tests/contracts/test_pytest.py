"""`mockveo_contracts.pytest` as a user runs it: in another pytest."""

from __future__ import annotations

import sys

import pytest
from paths import CLIENTS, MUTANTS

pytest_plugins = ["pytester"]

CLIENT = """
from zoo_client import CorrectClient
from mockveo_contracts.pytest import client_contract

class Cutting(CorrectClient):
    def prompt(self):
        return self.input.prompt.partition("\\n")[0]

class Hurried(CorrectClient):
    def interval(self):
        return 0.01

def client(kind, **features):
    def call(case):
        return kind(case)()
    call.features = {**CorrectClient.features, **features}
    return call
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(f"import sys\nsys.path.insert(0, {str(MUTANTS)!r})")
    pytester.makeini("[pytest]\naddopts = -p no:schemathesis -p no:cacheprovider")
    return pytester


def test_client_contract_makes_a_test_of_each_case(project: pytest.Pytester) -> None:
    project.makepyfile(f"{CLIENT}\ntest_client = client_contract(client(CorrectClient), cases=['image/*', 'text/at'])")
    result = project.runpytest_subprocess("-v")
    result.stdout.fnmatch_lines(
        [
            "*::test_client?image/one? PASSED*",
            "*::test_client?image/two-ordered? PASSED*",
            "*::test_client?text/at? PASSED*",
        ]
    )
    assert result.parseoutcomes().keys() == {"passed"}


@pytest.mark.slow
def test_client_contract_has_the_same_outcomes_in_parallel_workers(project: pytest.Pytester) -> None:
    # Generated cases report only what the named ones of their own process have not shown.
    project.makepyfile(f"{CLIENT}\ntest_client = client_contract(client(Cutting), cases=['text/*', 'image/*'])")
    alone, parallel = (project.runpytest_subprocess("-rA", *arguments) for arguments in ((), ("-n", "2")))
    outcomes = [
        sorted(line.partition(" - ")[0] for line in result.outlines if line.startswith(("PASSED ", "FAILED ")))
        for result in (alone, parallel)
    ]
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) > 20
    assert alone.ret == parallel.ret == 1


def test_failure_shows_rule_message_and_command(project: pytest.Pytester) -> None:
    project.makepyfile(f"{CLIENT}\ntest_client = client_contract(client(Cutting), cases=['text/newlines'])")
    result = project.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    for part in (
        "test_client[text/newlines]",
        "VIOLATION  prompt-exact (MUST)",
        "The prompt arrives character by character",
        "the prompt arrived as 'A kite.'; expected",
        "mockveo replay text/newlines",
    ):
        assert part in text
    assert "Traceback" not in text
    assert "def contract" not in text


def test_client_that_sends_nothing_is_played_three_times_for_all_tests(project: pytest.Pytester) -> None:
    project.makepyfile(
        f"{CLIENT}\nfrom mockveo_contracts import Outcome\ndef elsewhere(case):\n    print('played')\n"
        "    with open('plays', 'a') as file:\n        file.write('x')\n    return Outcome('error')\n"
        "test_client = client_contract(elsewhere, cases=['text/*'])"
    )
    result = project.runpytest_subprocess()
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] > 10
    text = result.stdout.str()
    assert text.count("no request came in the first 3 cases; ") >= outcomes["failed"]
    assert "VIOLATION" not in text
    assert (project.path / "plays").read_text() == "xxx"


def test_generated_cases_share_one_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        f"{CLIENT}\ntest_client = client_contract(client(Cutting), generated=120, corpus='corpus')\n"
        "test_other = client_contract(client(CorrectClient), generated=3)"
    )
    result = project.runpytest_subprocess("-k", "[generated]", "-v")
    result.stdout.fnmatch_lines(["*::test_client?generated? FAILED*", "*::test_other?generated? PASSED*"])
    (path,) = (project.path / "corpus").iterdir()
    result.stdout.fnmatch_lines([f"*mockveo replay corpus/{path.name}*"])
    again = project.runpytest_subprocess("-k", "client and generated/", "-v")
    again.stdout.fnmatch_lines(["*::test_client?generated/* FAILED*"])


def test_generated_cases_do_not_show_again_what_the_catalogue_has_shown(project: pytest.Pytester) -> None:
    project.makepyfile(f"{CLIENT}\ntest_client = client_contract(client(Cutting), generated=120)")
    result = project.runpytest_subprocess("-k", "text/newlines or [generated]", "-v")
    result.stdout.fnmatch_lines(["*::test_client?text/newlines? FAILED*", "*::test_client?generated? PASSED*"])


def test_warning_fails_only_with_strict(project: pytest.Pytester) -> None:
    project.makepyfile(
        f"{CLIENT}\ntest_client = client_contract(client(Hurried), cases=['job/long'])\n"
        "test_strict = client_contract(client(Hurried), cases=['job/long'], strict=True)"
    )
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1, warnings=1)
    result.stdout.fnmatch_lines(["*ContractWarning: WARNING  poll-interval (SHOULD)*"])


def test_case_beyond_the_features_of_a_client_is_skipped(project: pytest.Pytester) -> None:
    project.makepyfile(
        f"{CLIENT}\ntest_client = client_contract(client(CorrectClient, images=1), cases=['image/two-ordered'])"
    )
    result = project.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*the client does not declare images=2*"])


def test_known_failure_is_an_xfail_and_a_stale_one_fails(project: pytest.Pytester) -> None:
    (project.path / "known.txt").write_text("prompt-exact text/newlines  # ticket 7\nprompt-exact text/at\n")
    call = "client_contract(client(Cutting), cases=['text/newlines', 'text/at'], known='known.txt')"
    project.makepyfile(f"{CLIENT}\ntest_client = {call}")
    result = project.runpytest_subprocess("-rx")
    result.assert_outcomes(xfailed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*known.txt:2: prompt-exact text/at is not broken any*",
            "*prompt-exact: known failure, known.txt:1: ticket 7*",
        ]
    )


def test_program_as_a_client_passes(project: pytest.Pytester) -> None:
    program = CLIENTS / "programs" / "client.py"
    command = [sys.executable, str(program), "session"]
    project.makepyfile(
        f"from mockveo_contracts.pytest import client_contract\n"
        f"test_client = client_contract({command!r}, cases=['text/at', 'image/two-ordered'])"
    )
    result = project.runpytest_subprocess("-v")
    result.assert_outcomes(passed=2)


def test_missing_program_fails_with_a_reason(project: pytest.Pytester) -> None:
    project.makepyfile(
        "from mockveo_contracts.pytest import client_contract\n"
        "test_client = client_contract(['no-such-program'], cases=['text/at'])"
    )
    result = project.runpytest_subprocess()
    result.stdout.fnmatch_lines(["*no-such-program*"])
    assert "Traceback" not in result.stdout.str()


def test_unknown_case_is_explained_at_collection(project: pytest.Pytester) -> None:
    project.makepyfile(f"{CLIENT}\ntest_client = client_contract(client(CorrectClient), cases=['image/on'])")
    result = project.runpytest_subprocess()
    result.stdout.fnmatch_lines(["*no case is named 'image/on'; did you mean 'image/one'*"])


SERVED = """
import pytest
import mockveo
from mockveo_contracts.pytest import server_contract
from mockveo_contracts.verify import Plan

@pytest.fixture(scope="module")
def gateway():
    with mockveo.serve(clock="manual", render=False, **SETTINGS) as server:
        yield server.url
"""


def test_server_contract_makes_a_test_of_each_check(project: pytest.Pytester) -> None:
    served = SERVED.replace("SETTINGS", "{}")
    project.makepyfile(f"{served}\ntest_server = server_contract(fixture='gateway')")
    result = project.runpytest_subprocess("-v", "-rs")
    result.stdout.fnmatch_lines(["*::test_server?job/text-only? PASSED*", "*::test_server?auth/no-key? PASSED*"])
    outcomes = result.parseoutcomes()
    assert set(outcomes) <= {"passed", "skipped"}
    assert outcomes["passed"] >= 10
    assert (result.ret, "RemoteError" in result.stderr.str()) == (0, False)


def test_broken_server_fails_with_rule_and_commands(project: pytest.Pytester) -> None:
    served = SERVED.replace("SETTINGS", "{'scenario': 'stuck-at-99'}")
    (project.path / "known.txt").write_text("job-ends job/text-only  # ticket 8\n")
    project.makepyfile(
        f"{served}\nfrom mockveo_contracts.reports.known_failures import read\n"
        "from mockveo_contracts.servers.server_rules import server_rules\n"
        "from pathlib import Path\nknown = tuple(read(Path('known.txt'), server_rules().find))\n"
        "test_server = server_contract(fixture='gateway', plan=Plan(probes=('job/*',), known=known))"
    )
    result = project.runpytest_subprocess("-rx")
    text = result.stdout.str()
    assert "job-ends" in text
    assert "mockveo verify" in text
    assert "curl" in text
    assert "Traceback" not in text
    result.stdout.fnmatch_lines(["*job-ends: known failure, known.txt:1: ticket 8*"])
    outcomes = result.parseoutcomes()
    assert outcomes["xfailed"] == 1
    assert outcomes["failed"] >= 1


def test_missing_server_fails_with_a_reason(project: pytest.Pytester) -> None:
    project.makepyfile(
        "from mockveo_contracts.pytest import server_contract\n"
        "from mockveo_contracts.verify import Plan\n"
        "test_server = server_contract('http://127.0.0.1:9', plan=Plan(probes=('job/text-only',)))"
    )
    result = project.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no server answers at http://127.0.0.1:9*"])
    assert "Traceback" not in result.stdout.str()
