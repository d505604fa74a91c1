"""Clients that are programs, driven for real: at each level of the client protocol, well-behaved and not."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mockveo_contracts.case import features_of
from mockveo_contracts.cases.definitions import TestCase, parse_case
from mockveo_contracts.clients import processes
from mockveo_contracts.clients.driver import DriverError
from mockveo_contracts.clients.messages import variables
from mockveo_contracts.clients.programs import Programs
from mockveo_contracts.clients.testbed import CaseRun, Testbed
from paths import CLIENTS

from mockveo.errors import SettingsError

HERE = CLIENTS / "programs"
CLIENT = [sys.executable, str(HERE / "client.py")]
DECLARED = features_of("deadline,poll_interval")
AT_ONCE: dict[str, Any] = {"phases": []}


def case(name: str = "case", **data: Any) -> TestCase:
    return parse_case({"scenario": AT_ONCE, **data}, name)


def misbehaving(way: str, *more: str, **options: Any) -> Programs:
    command = [sys.executable, str(HERE / "misbehaves.py"), way, *more]
    return Programs(command, **{"startup": 10.0, "patience": 0.3, **options})


def played(driver: Programs, *scripts: TestCase) -> list[CaseRun]:
    with driver:
        return list(driver.play(scripts or [case()]))


def broken(play: CaseRun) -> dict[str, str]:
    """The rules that are broken by more than an info, with their messages."""
    findings = [verdict for verdict in play.verdicts() if verdict.verdict in ("violation", "warning")]
    return {verdict.rule.id: "; ".join(breach.message for breach in verdict.breaches) for verdict in findings}


def gone(pid: int) -> bool:
    """Whether a process is gone, soon."""
    until = time.monotonic() + 3
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return True  # a zombie, whose status was not read yet
        time.sleep(0.01)
    return False


GOOD = [
    *(case(f"good/{number}") for number in range(2)),
    case("good/polls", scenario={}),
    case(
        "good/fails", scenario={"phases": [], "ending": "failure", "error": {"code": "x", "message": "flux is empty"}}
    ),
    case("good/poll-503", scenario={"faults": [{"operation": "retrieve", "attempt": 1, "status": 503}]}),
    case("good/page-for-a-video", scenario={"faults": [{"operation": "content", "attempt": 1, "html": True}]}),
    case("good/never", scenario="stuck-queued", call={"deadline_s": 1.2}),
    case(
        "good/slow-backoff", scenario={"faults": [{"operation": "retrieve", "status": 503}]}, call={"deadline_s": 1.5}
    ),
    case(
        "good/all",
        scenario={"faults": [{"operation": "create", "attempt": 1, "status": 429, "retry_after": 0.2}]},
        call={
            "prompt": 'A kite;\n"red" @ 5 % \u2028 \N{KITE}',
            "model": "veo3-fast",
            "size": "9x16",
            "images": [{"filename": "a b.png"}, {"filename": "a b.png"}],
        },
    ),
]
OUTCOMES = [
    "completed",
    "completed",
    "completed",
    "failed",
    "completed",
    "completed",
    "timeout",
    "timeout",
    "completed",
]


@pytest.mark.parametrize("width", [1, 4])
def test_a_correct_session_is_found_correct(width: int) -> None:
    with Programs([*CLIENT, "session", str(width)], parallel=1) as driver:
        assert (driver.client.name, driver.client.version) == ("stdlib", "1.0")
        assert driver.client.features["content"] is True
        plays = {play.test_case.name: play for play in driver.play(GOOD)}
        assert list(plays) == [test_case.name for test_case in GOOD] or width > 1
        assert {name: broken(play) for name, play in plays.items()} == {test_case.name: {} for test_case in GOOD}
        assert [plays[test_case.name].outcome["outcome"] for test_case in GOOD] == OUTCOMES
        assert [play.adapter_error for play in plays.values()] == [""] * len(GOOD)
        assert plays["good/0"].outcome["content"]["bytes"] > 4096
        # Again, and alone.
        (again,) = driver.play([GOOD[0]])
        assert broken(again) == {}


@pytest.mark.parametrize(
    ("mode", "command"),
    [("once", [*CLIENT, "once"]), ("run", [*CLIENT, "run"]), ("run", [str(HERE / "run.sh")])],
    ids=["once", "run", "curl"],
)
def test_a_correct_program_of_one_case_is_found_correct(mode: str, command: list[str]) -> None:
    if command[0].endswith(".sh") and shutil.which("curl") is None:
        pytest.skip("curl is not here")
    driver = Programs(command, mode=mode, features=DECLARED)
    plays = {play.test_case.name: play for play in played(driver, *GOOD)}
    assert {name: broken(play) for name, play in plays.items()} == {test_case.name: {} for test_case in GOOD}
    assert [plays[test_case.name].outcome["outcome"] for test_case in GOOD] == OUTCOMES
    assert [play.adapter_error for play in plays.values()] == [""] * len(GOOD)


def test_a_program_of_one_case_that_stores_videos_is_judged_by_them() -> None:
    (play,) = played(Programs([*CLIENT, "once"], mode="once", features=features_of("content,deadline")))
    assert play.outcome["content"]["bytes"] > 4096
    assert not Path(play.outcome["content_path"]).exists()
    assert {verdict.rule.id: verdict.verdict for verdict in play.verdicts()}["content-exact"] == "pass"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["no-such-client"], "there is no program 'no-such-client'.*e.g. -- python my_client.py"),
        (["./client.py"], "may not be started.*chmod.*python ./client.py"),
        (["."], "is a directory"),
        (["./odd"], "names no interpreter in its first line"),
        (["./lost"], "the interpreter in the first line .* does not exist"),
        (["client.py"], r"on the PATH, but a file here; expected ./client.py"),
        ([], "the command is empty"),
    ],
)
@pytest.mark.parametrize("mode", ["session", "run"])
def test_program_that_cannot_be_started_is_explained(
    command: list[str], says: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("client.py").write_text("print()")
    Path("odd").write_text("echo\n")
    Path("lost").write_text("#!/no/such/sh\n")
    for name in ("odd", "lost"):
        Path(name).chmod(0o755)
    with pytest.raises(DriverError, match=says):
        played(Programs(command, mode=mode))


def test_invalid_settings_are_explained() -> None:
    with pytest.raises(SettingsError, match="the mode is 'twice'; expected one of session, once, run"):
        Programs(CLIENT, mode="twice")
    with pytest.raises(SettingsError, match="a session declares its features in its hello"):
        Programs(CLIENT, features={"images": 1})


HELLOS = {
    "text": r"the line 'Loading...' on standard output is not JSON; expected lines like .*\"hello\"",
    "list": "has no valid type",
    "result": "the first line was .*expected a hello like",
    '{"type":"hello","protocol":2}': "speaks protocol 2.*expected 1",
    '{"type":"hello","features":{"image":1}}': "'image' is not a feature; did you mean 'images'",
    '{"type":"hello","features":{"images":3}}': "the feature images is 3; expected 0, 1 or 2",
    '{"type":"hello","features":[1]}': "features of the hello is .*expected an object",
    '{"type":"hello","client":1}': "client of the hello is 1; expected a name",
    '{"type":"hello","max_in_flight":0}': "max_in_flight of the hello is 0",
    '{"type":"hullo"}': "did you mean 'hello'",
}


@pytest.mark.parametrize("hello", HELLOS)
def test_invalid_hello_is_explained(hello: str) -> None:
    with pytest.raises(DriverError, match=HELLOS[hello]):
        played(misbehaving("says_other_hellos", hello))


def test_missing_hello_is_explained_with_its_likely_cause() -> None:
    with pytest.raises(DriverError, match=r"said no hello in 0.3 s; expected a line like .*flush") as raised:
        played(misbehaving("never_says_hello", startup=0.3))
    assert "standard error: nothing" in str(raised.value)
    with pytest.raises(
        DriverError, match=r"ended with exit status 1 before it said hello.*(?s:.)*no module named flux"
    ):
        played(misbehaving("dies_at_start"))


def test_crashed_client_is_restarted_once(tmp_path: Path) -> None:
    names = ["one", "die", "three"]
    plays = played(misbehaving("dies_once", str(tmp_path / "starts")), *map(case, names))
    assert [(play.test_case.name, bool(play.adapter_error)) for play in plays] == [
        ("one", False),
        ("die", True),
        ("three", False),
    ]
    assert "ended with exit status 3 while it was at die" in plays[1].adapter_error
    assert "flux is empty" in plays[1].adapter_error
    assert plays[1].verdicts() == []


def test_client_that_crashes_twice_is_not_restarted() -> None:
    done = []
    says = r"exit status 3 while it was at die2; it had been started again once before(?s:.)*flux"
    with misbehaving("dies") as driver, pytest.raises(DriverError, match=says):
        done.extend(play.test_case.name for play in driver.play(map(case, ["die1", "two", "die2", "four"])))
    assert done == ["die1", "two"]
    with pytest.raises(DriverError, match="was ended by signal 9"):
        played(misbehaving("killed"), *map(case, ["one", "two"]))


def test_client_that_exits_after_each_case_is_pointed_to_another_mode() -> None:
    with pytest.raises(DriverError, match="driven with --mode once"):
        played(misbehaving("exits_after_each"), *map(case, "abcdef"))


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("prints_rubbish", "the line 'polling...' on standard output is not JSON.*standard error"),
        ("answers_twice", "was answered twice"),
        ("answers_for_another", r"a result came for the id \d; expected '\d'"),
        ("stores_nothing", "content_path '/nowhere/out.mp4' cannot be read"),
        ("breaks", "the adapter says: no flux"),
        ('reports_oddly {"outcome":"succeeded"}', "the outcome is 'succeeded'; expected one of completed.*e.g. "),
        ('reports_oddly {"video":"x"}', "video of the result is 'x'; expected an object or null"),
        ('reports_oddly {"content_path":"a\\u0000b"}', "content_path"),
        ('reports_oddly {"type":"results"}', "did you mean 'result'"),
    ],
)
def test_broken_adapter_is_reported_for_its_own_case(way: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockveo_contracts.clients.sessions.BROKEN_ADAPTER_TIMEOUT_S", 0.2)
    plays = played(misbehaving(*way.split(" ", 1)), case("one"), case("two"))
    assert [play.test_case.name for play in plays] == ["one", "two"]
    for play in plays:
        assert re.search(says, play.adapter_error), play.adapter_error
        assert play.verdicts() == []


@pytest.mark.parametrize("declared", ["deadline", "none"])
def test_silent_client_is_ended_and_restarted(declared: str) -> None:
    quick = {"deadline_s": 0.4}
    scripts = [case("mute", call=quick), case("two"), case("three")]
    plays = {play.test_case.name: play for play in played(misbehaving("never_answers", declared), *scripts)}
    assert {name: play.adapter_error for name, play in plays.items()} == dict.fromkeys(["mute", "two", "three"], "")
    assert plays["mute"].outcome["ended_by"] == "0.3 s"
    assert ("deadline" in broken(plays["mute"])) is (declared == "deadline")
    assert broken(plays["two"]) == broken(plays["three"]) == {}


def test_cases_that_are_open_when_the_client_is_ended_are_played_again() -> None:
    scripts = [
        case("mute", call={"deadline_s": 0.3}),
        case("slow", scenario={"phases": [{"duration": 150}]}),
        case("x"),
    ]
    plays = {play.test_case.name: play for play in played(misbehaving("never_answers", "deadline"), *scripts)}
    assert next(iter(plays)) == "mute"
    assert plays["slow"].outcome["outcome"] == "completed"
    assert broken(plays["slow"]) == broken(plays["x"]) == {}


def test_client_that_stops_reading_does_not_block_the_check() -> None:
    long = case("long", call={"prompt": {"text": "kite ", "times": 50000}, "deadline_s": 0.2})
    (play,) = played(misbehaving("is_deaf"), long)
    assert play.outcome["ended_by"] == "0.3 s"


def test_client_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    (play,) = played(misbehaving("never_answers_and_ignores_sigterm", str(file)), case(call={"deadline_s": 0.2}))
    assert play.outcome["ended_by"]
    assert all(gone(int(pid)) for pid in file.read_text().split())


@pytest.mark.parametrize("way", ["leaves_a_child", "child_holds_the_pipes"])
def test_children_do_not_outlive_a_client(way: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    (play,) = played(misbehaving(way, str(tmp_path / "pid")))
    assert bool(play.adapter_error) is (way == "child_holds_the_pipes")
    assert gone(int((tmp_path / "pid").read_text()))
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize(
    ("way", "place"),
    [
        ("leaks_on_standard_error", "standard error"),
        ("leaks_in_the_result", "the result"),
        ("leaks_at_the_end", "standard error, after the result"),
    ],
)
def test_key_in_the_output_is_found(way: str, place: str) -> None:
    plays = played(misbehaving(way), case("one"), case("two"))
    assert plays[-1].outcome["leaks"] == [place]
    assert broken(plays[-1])["key-in-output"] == f"the key appeared in {place}"


def test_key_that_is_written_late_is_reported_for_its_own_case() -> None:
    plays = played(misbehaving("leaks_later"), case("one"), case("two"), case("three"))
    assert [play.outcome["leaks"] for play in plays] == [["standard error, after the result"]] * 2 + [[]]
    with misbehaving("leaks_later") as driver:
        plays = [play for name in ("one", "two") for play in driver.play([case(name)])]
    assert [play.outcome["leaks"] for play in plays] == [[], ["standard error (that of one, after its result)"]]


@pytest.mark.parametrize("way", ["writes_like_windows", "is_loud"])
def test_unusual_but_valid_output_is_accepted(way: str) -> None:
    plays = played(misbehaving(way), case("one"), case("two"))
    assert [(play.outcome["outcome"], play.adapter_error) for play in plays] == [("completed", "")] * 2


@pytest.mark.parametrize("mode", ["session", "once"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_many_mistakes_are_shown_by_three_and_a_count(mode: str, order: str) -> None:
    lines = "".join(f"debug {number}\\n" for number in range(1000))
    steps = [f"os.write(1, b'{lines}')", "say(play(message))"]
    program = f"""
import json, os, sys
sys.path.insert(0, {str(HERE)!r})
from client import play, say
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        say({{"type": "hello"}})
    else:
        {"; ".join(steps if order == "before" else steps[::-1])}
"""
    errors = [
        play.adapter_error
        for play in played(Programs([sys.executable, "-c", program], mode=mode), case("one"), case("two"))
    ]
    texts = [text.count("the line 'debug ") for text in errors]
    counted = [int(number) for text in errors for number in re.findall("and ([0-9]+) more", text)]
    if order == "before":
        assert (texts, counted) == ([3, 3], [997, 997])
    else:  # of a session, it may be taken for the next case's
        assert max(texts) <= 6
        assert counted
    assert max(map(len, errors)) < 3000


def test_a_level_1_program_may_leave_the_newline_out() -> None:
    (play,) = played(misbehaving("no_newline_at_the_end", mode="once"))
    assert (play.outcome["outcome"], play.adapter_error) == ("completed", "")


def test_level_1_program_without_a_result_is_explained() -> None:
    (play,) = played(misbehaving("exits", "4", mode="once"))
    assert "ended with exit status 4 and wrote no result; expected a line like" in play.adapter_error
    (play,) = played(misbehaving("never_says_hello", mode="once"), case(call={"deadline_s": 0.2}))
    assert (play.adapter_error, play.outcome["ended_by"]) == ("", "0.3 s")
    (play,) = played(misbehaving("says_other_hellos", "text", mode="once", patience=5.0))
    assert "'Loading...'" in play.adapter_error


def test_a_level_1_program_need_not_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockveo_contracts.clients.programs.CLIENT_EXIT_TIMEOUT_S", 0.1)
    (play,) = played(misbehaving("goes_on_after_its_result", mode="once"))
    assert (play.outcome["outcome"], play.outcome["ended_by"], play.adapter_error) == ("completed", None, "")


@pytest.mark.parametrize(
    ("status", "outcome", "rules"),
    [("0", "completed", {"did-create", "no-false-success"}), ("1", "error", {"did-create"})],
)
def test_a_level_0_program_is_believed_its_status(status: str, outcome: str, rules: set[str]) -> None:
    (play,) = played(misbehaving("exits", status, mode="run"))
    assert play.outcome["outcome"] == outcome
    assert set(broken(play)) == rules


def test_a_level_0_program_that_gives_up_early_is_found() -> None:
    early = 'curl -s --form-string "prompt=$MOCKVEO_PROMPT" --oauth2-bearer $COMETAPI_KEY $OPENAI_BASE_URL/videos'
    (play,) = played(Programs(["sh", "-c", f"{early}; exit 1"], mode="run"), case(scenario={}))
    assert set(broken(play)) == {"poll-until-terminal"}
    (play,) = played(Programs(["sh", "-c", f"{early}; echo $COMETAPI_KEY; exit 1"], mode="run"), case(scenario={}))
    assert set(broken(play)) == {"poll-until-terminal", "key-in-output"}
    assert play.outcome["leaks"] == ["standard output"]


def test_a_level_0_program_that_does_not_end_is_ended() -> None:
    (play,) = played(misbehaving("never_says_hello", mode="run", features=DECLARED), case(call={"deadline_s": 0.2}))
    assert play.outcome["ended_by"] == "0.3 s"
    assert "deadline" in broken(play)


def test_a_shell_that_finds_no_command_is_no_verdict() -> None:
    (play,) = played(Programs(["sh", "-c", "curll"], mode="run"))
    assert re.search("exit status 127.*curll.*not found", play.adapter_error)


def test_a_prompt_that_no_environment_takes_is_no_verdict() -> None:
    (play,) = played(Programs(["true"], mode="run"), case(call={"prompt": {"text": "kite ", "times": 50000}}))
    assert "does not fit into environment variables" in play.adapter_error


def test_the_environment_of_a_level_0_program() -> None:
    call = {"size": "9x16", "images": [{"filename": "a.png"}, {"filename": "b.jpg"}]}
    with Testbed() as stage:
        scene = stage.open(case(call=call))
        environment = variables(scene.case)
        assert json.loads(environment["MOCKVEO_CASE"]) == scene.case.message
        assert environment["OPENAI_BASE_URL"] == environment["COMETAPI_BASE_URL"] == scene.case.base_url
        assert environment["OPENAI_API_KEY"] == environment["COMETAPI_KEY"] == scene.case.api_key
        assert [Path(path).name for path in environment["MOCKVEO_IMAGES"].split(os.pathsep)] == ["a.png", "b.jpg"]
        assert (environment["MOCKVEO_POLL_INTERVAL_S"], environment["MOCKVEO_DEADLINE_S"]) == ("0.05", "6")
        assert environment["MOCKVEO_SIZE"] == "9x16"
        assert "MOCKVEO_MODEL" not in environment
        assert "MOCKVEO_IMAGES" not in variables(stage.open(case()).case)


def test_keys_and_addresses_of_the_service_stay_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMETAPI_KEY", "OPENAI_API_KEY", "OPENAI_ORG_ID", "MOCKVEO_MODEL"):
        monkeypatch.setenv(name, "sk-mine")
    monkeypatch.setenv("no_proxy", "example.org")
    with misbehaving("shows_its_environment") as driver:
        assert driver.client.name == "none"
    environment = processes.environment({"MOCKVEO_SIZE": "x"})
    assert [name for name in environment if name.startswith(("COMETAPI", "OPENAI", "MOCKVEO"))] == ["MOCKVEO_SIZE"]
    assert environment["no_proxy"] == "example.org,127.0.0.1,localhost"


LIBFAKETIME = [
    place for pattern in processes.LIBFAKETIME_FOLDERS for place in Path("/").glob(f"{pattern[1:]}/libfaketime*")
]
#: A client whose pauses between polls are 10 seconds, fixed.
SLOW = """
import sys
sys.path.insert(0, {here!r})
import client
ask = client.play
client.play = lambda case, **more: ask({{**case, "poll_interval_s": 10.0}}, **more)
client.main(*sys.argv[1:])
"""


@pytest.mark.skipif(not LIBFAKETIME, reason="libfaketime is not here")
@pytest.mark.parametrize("mode", ["session", "once", "run"])
def test_a_client_of_long_pauses_can_be_made_faster(mode: str) -> None:
    command = [sys.executable, "-c", SLOW.format(here=str(HERE)), mode]
    features = {} if mode == "session" else DECLARED
    faults = [{"operation": "retrieve", "attempt": 1, "status": 429, "retry_after": {"date": 12}}]
    scripts = [
        case("polls", scenario={}),
        case("waits", scenario={"phases": [{"duration": 1}], "faults": faults}),
        case("never", scenario="stuck-queued", call={"deadline_s": 1.2}),
    ]
    begun = time.monotonic()
    plays = {
        play.test_case.name: play
        for play in played(Programs(command, mode=mode, features=features, factor=40), *scripts)
    }
    assert time.monotonic() - begun < 10
    assert {name: broken(play) for name, play in plays.items()} == {"polls": {}, "waits": {}, "never": {}}
    assert [plays[test_case.name].outcome["outcome"] for test_case in scripts] == ["completed", "completed", "timeout"]
    asked = plays["waits"].call_trace.polls
    assert plays["waits"].call_trace.seconds(*asked[:2]) >= 10.9
    assert plays["never"].case["deadline_s"] == pytest.approx(48)


@pytest.mark.skipif(not LIBFAKETIME, reason="libfaketime is not here")
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not here")
def test_node_can_be_made_faster() -> None:
    begun = time.monotonic()
    with Programs([str(shutil.which("node")), str(HERE / "client.mjs")], factor=40) as driver:
        plays = list(
            driver.play([case("polls", scenario={}), case("two", call={"images": [{"filename": "a.png"}] * 2})])
        )
    assert time.monotonic() - begun < 10
    assert [(play.outcome["outcome"], broken(play)) for play in plays] == [("completed", {})] * 2
    story = plays[0].call_trace
    assert 9.5 < story.seconds(story.creates[0], story.polls[0]) < 100


@pytest.mark.skipif(not LIBFAKETIME, reason="libfaketime is not here")
def test_program_that_does_not_load_libfaketime_is_refused() -> None:
    # As one that is linked statically: nothing of the variable is left when the client starts.
    plain = ["env", "--unset=LD_PRELOAD", *CLIENT, "session"]
    with pytest.raises(DriverError, match=r"the client does not load libfaketime.*leave --accelerate out"):
        played(Programs(plain, factor=2))


@pytest.mark.skipif(not LIBFAKETIME, reason="libfaketime is not here")
def test_libfaketime_leaves_nothing_behind() -> None:
    started = set(os.listdir("/dev/shm"))
    with misbehaving("never_answers_and_ignores_sigterm", "/dev/null", factor=2) as driver:
        process = driver._sessions[0]._life.process
        name = f"faketime_shm_{process._popen.pid}"
        assert name in set(os.listdir("/dev/shm")) - started
        assert process.date > time.time() - 0.01
    assert name not in os.listdir("/dev/shm")


def test_missing_libfaketime_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LIBFAKETIME_FOLDERS", ("/no/such/place",))
    remedy = "install the package" if sys.platform == "linux" else "leave --accelerate out"
    with pytest.raises(DriverError, match=rf"--accelerate.* needs libfaketime.*{remedy}"):
        played(Programs(CLIENT, factor=20))
    if sys.platform == "linux":
        with pytest.raises(DriverError, match=r"--accelerate is 0\.5; expected how many times as fast"):
            played(Programs(CLIENT, factor=0.5))


@pytest.mark.parametrize("mode", ["session", "run"])
def test_interrupted_driver_leaves_no_process_behind(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[processes.Process] = []
    begin = processes.Process.__init__

    def noted(self: processes.Process, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        started.append(self)

    monkeypatch.setattr(processes.Process, "__init__", noted)
    driver = Programs([*CLIENT, mode], mode=mode)
    stuck = case(scenario="stuck-queued", call={"deadline_s": 20})

    real, calls = processes.wait, iter(range(1000))

    def wait(*args: Any) -> None:
        real(*args)
        if next(calls) > 30:
            raise KeyboardInterrupt

    monkeypatch.setattr("mockveo_contracts.clients.sessions.wait", wait)
    monkeypatch.setattr("mockveo_contracts.clients.programs.wait", wait)
    with pytest.raises(KeyboardInterrupt):
        played(driver, stuck)
    assert started
    assert all(process._popen.returncode is not None for process in started)


@pytest.mark.parametrize("mode", ["session", "once"])
def test_runs_that_are_not_awaited_are_ended(mode: str) -> None:
    slow = case("slow", scenario={"phases": [{"duration": 300}]}, call={"deadline_s": 20})
    with Programs([*CLIENT, mode, "3"][: 4 if mode == "session" else 3], mode=mode) as driver:
        plays = driver.play([case("one"), case("two"), slow])
        assert next(plays).test_case.name in ("one", "two")
        plays.close()
        begun = time.monotonic()
        (play,) = driver.play([case("again")])
        assert (play.outcome["outcome"], play.adapter_error) == ("completed", "")
        assert time.monotonic() - begun < 3
