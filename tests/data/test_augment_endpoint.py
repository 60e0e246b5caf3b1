"""Paraphrases from an endpoint: a small real HTTP server answers, well and badly."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lora_scripts.data.augment.endpoint import ask_endpoint
from lora_scripts.data.augment.rules import Growth, summary_lines, write_augmented
from lora_scripts.data.records import Message, Record
from lora_scripts.errors import LoraScriptsError, UsageError

QUESTION = "公司拖欠我2个月工资，怎么办？"
GOOD = ["老板欠了我2个月的薪水，该如何讨要？", "单位欠我2个月工钱，怎样才能拿到？"]


class Server(ThreadingHTTPServer):
    """Answers with what ``script(number of the request, question)`` gives: (status, body, headers)."""

    daemon_threads = True
    script: Callable[[int, str], tuple]
    seen: list[tuple[str, dict, dict]]
    busiest: int
    busy: int


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        with lock:
            self.server.seen.append((self.path, dict(self.headers), body))
            number = len(self.server.seen)
            self.server.busy += 1
            self.server.busiest = max(self.server.busiest, self.server.busy)
        status, told, *headers = self.server.script(number, json.loads(body["messages"][1]["content"])["question"])
        with lock:
            self.server.busy -= 1
        sent = told if isinstance(told, bytes) else told.encode()
        self.send_response(status)
        for name, value in headers[0].items() if headers else ():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        return


lock = threading.Lock()


@pytest.fixture
def server() -> Iterator[Server]:
    httpd = Server(("127.0.0.1", 0), Handler)
    httpd.seen, httpd.busiest, httpd.busy = [], 0, 0
    httpd.script = lambda number, question: (200, reply(GOOD))
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("LORA_SCRIPTS_API_KEY", raising=False)


def reply(texts: object, before: str = "", after: str = "") -> str:
    content = before + json.dumps({"paraphrases": texts}, ensure_ascii=False) + after
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]})


def record(question: str, source: str = "a.txt:1") -> Record:
    return Record((Message("user", question), Message("assistant", "依法申请仲裁。")), source)


def ask(server: Server, *questions: str, **more):
    """(variants, lines said, growth, seconds waited)."""
    said: list[str] = []
    waits: list[float] = []
    growth = Growth()
    given = {
        "endpoint": f"http://127.0.0.1:{server.server_port}/v1",
        "model": "m",
        "per_record": 2,
        "screen": lambda words: words,
        "say": said.append,
        "growth": growth,
        "wait": waits.append,
        "timeout": 5.0,
        **more,
    }
    records = [record(q, f"a.txt:{i}") for i, q in enumerate(questions or (QUESTION,), 1)]
    return list(ask_endpoint(records, **given)), said, growth, waits


def test_good_paraphrases_become_variants_with_their_place_and_the_old_answer(server, monkeypatch):
    monkeypatch.setenv("LORA_SCRIPTS_API_KEY", "secret-1")
    variants, said, growth, _ = ask(server)
    assert [v.messages[0].content for v in variants] == GOOD
    assert {(v.source, v.by, v.messages[1].content) for v in variants} == {("a.txt:1", "endpoint:m", "依法申请仲裁。")}
    path, headers, body = server.seen[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret-1"
    assert body["model"] == "m"
    assert set(body) == {"model", "messages"}
    assert "依法申请仲裁" not in json.dumps(body, ensure_ascii=False)
    assert growth.made == {"endpoint:m": 2}
    assert "secret-1" not in " ".join([*said, *summary_lines(growth)])


def test_the_host_is_named_before_the_first_question_leaves(server):
    order: list[str] = []
    server.script = lambda number, question: (order.append("asked"), (200, reply(GOOD)))[1]
    ask(server, say=order.append)
    assert f"127.0.0.1:{server.server_port}" in order[0]
    assert order[1:] == ["asked"]


def test_a_host_elsewhere_is_announced_as_leaving_the_machine_and_plain_http_is_warned_of():
    said: list[str] = []

    def stop(words: str) -> None:
        said.append(words)
        if len(said) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(ask_endpoint([record(QUESTION)], endpoint="http://model.invalid/v1", model="m", per_record=1,
                          screen=str, say=stop))  # fmt: skip
    assert "leave this machine for model.invalid" in said[0]
    assert "plain http" in said[1]


def test_personal_data_is_masked_before_it_is_sent_and_stays_masked(server):
    def screen(words: str) -> str:
        return words.replace("13800138000", "[手机号]")

    server.script = lambda number, question: (
        200,
        reply(["[手机号]总是打不通，应该如何处理？", "13800138000打不通如何是好？"]),
    )
    variants, _, growth, _ = ask(server, "13800138000打不通怎么办？", screen=screen)
    assert "13800138000" not in json.dumps(server.seen[0][2], ensure_ascii=False)
    assert "13800138000" not in server.seen[0][2]["messages"][1]["content"]
    assert [v.messages[0].content for v in variants] == ["[手机号]总是打不通，应该如何处理？"]
    assert growth.refused == {"numbers": 1}
    assert growth.masked == 1


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("老板欠了我3个月的薪水，该如何讨要？", "numbers"),
        ("My boss owes me 2 months of pay, what can I do?", "language"),
        ("", "empty"),
        ("公司拖欠我2个月工资，怎么办呀？", "near_copy"),
        ("公司拖欠我2个月工资——怎么办", "duplicate"),
        ("老板拖欠我2个月薪水，请申请劳动仲裁。", "statement"),
        ("老板欠了我2个月的薪水，" + "很久很久" * 30 + "，该如何讨要？", "too_long"),
        ("老板欠张某2个月的薪水，该如何讨要？", "names"),
        ("依据《劳动法》，老板欠了我2个月的薪水，该如何讨要？", "citations"),
    ],
)
def test_what_is_not_the_same_question_in_other_words_is_refused_with_its_reason(server, given, reason):
    server.script = lambda number, question: (200, reply([given, GOOD[0]]))
    variants, _, growth, _ = ask(server)
    assert [v.messages[0].content for v in variants] == [GOOD[0]]
    assert growth.refused == {reason: 1}
    assert growth.short == 1
    assert len(summary_lines(growth)) == 3


def test_more_than_asked_for_is_not_taken(server):
    variants, _, growth, _ = ask(server, per_record=1)
    assert len(variants) == 1
    assert growth.refused == {"surplus": 1}


@pytest.mark.parametrize(
    ("before", "after"),
    [("```json\n", "\n```"), ("<think>[1] 先想 {一下}</think>好的：", ""), ("以下 {不是} JSON：", "谢谢")],
)
def test_words_around_the_json_do_not_hide_it(server, before, after):
    server.script = lambda number, question: (200, reply(GOOD, before, after))
    assert len(ask(server)[0]) == 2


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{", '{"choices": []}', '{"choices": [{"message": {"content": null}}]}', reply([1, None]), reply("x"),
     "[" * 100_000, b"\xff\xfe", json.dumps({"choices": [{"message": {"content": "[" * 50_000}}]})],
)  # fmt: skip
def test_a_reply_of_any_other_shape_is_counted_and_the_next_question_is_asked(server, body):
    server.script = lambda number, question: (200, body if question != QUESTION else reply(GOOD))
    variants, _, growth, _ = ask(server, "加班费怎么计算？", QUESTION)
    assert len(variants) == 2
    assert growth.refused == {"malformed": 1}


def test_busy_and_broken_answers_are_tried_again_after_growing_waits(server):
    answers = {1: (429, "", {"Retry-After": "7"}), 2: (503, ""), 3: (500, "")}
    server.script = lambda number, question: answers.get(number, (200, reply(GOOD)))
    variants, _, _, waits = ask(server)
    assert len(variants) == 2
    assert len(server.seen) == 4
    assert waits[0] == 7
    assert waits[1] < waits[2]


def test_a_question_that_is_never_answered_is_counted_and_the_others_go_on(server):
    server.script = lambda number, question: (503, "") if "加班" in question else (200, reply(GOOD))
    variants, _, growth, waits = ask(server, "加班费怎么计算？", QUESTION, retries=2)
    assert len(variants) == 2
    assert growth.refused["no_answer"] == 1
    assert len(waits) == 2


def test_a_rejected_question_is_not_asked_twice(server):
    server.script = lambda number, question: (400, "") if "加班" in question else (200, reply(GOOD))
    variants, _, growth, waits = ask(server, "加班费怎么计算？", QUESTION)
    assert len(variants) == 2
    assert growth.refused == {"rejected": 1}
    assert (len(server.seen), waits) == (2, [])


@pytest.mark.parametrize(("status", "words"), [(401, "LORA_SCRIPTS_API_KEY"), (404, "--model"), (302, "redirects")])
def test_a_refused_key_a_wrong_address_and_a_redirect_stop_at_once(server, status, words):
    elsewhere = {"Location": f"http://127.0.0.1:{server.server_port}/elsewhere"}
    server.script = lambda number, question: (status, "", elsewhere)
    with pytest.raises(UsageError, match=words):
        ask(server, *(f"第{i}天加班费怎么计算？" for i in range(40)))
    assert len(server.seen) <= 12
    assert {path for path, _, _ in server.seen} == {"/v1/chat/completions"}


def test_an_endpoint_that_gives_nothing_stops_the_run(server):
    server.script = lambda number, question: (500, "")
    with pytest.raises(LoraScriptsError, match="8 questions in a row"):
        ask(server, *(f"第{i}天加班费怎么计算？" for i in range(40)), retries=0)
    assert len(server.seen) < 40


def test_no_server_at_all_is_one_plain_error(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(LoraScriptsError, match="refused"):
        ask(server, retries=1)


def test_what_was_made_before_a_fault_is_kept_and_the_rest_is_counted(server, tmp_path):
    said: list[str] = []
    server.script = lambda number, question: (200, reply(GOOD)) if question == QUESTION else (401, "")
    growth = Growth()
    more = [record(f"第{i}天加班费怎么计算？", f"a.txt:{i}") for i in range(2, 30)]
    variants = ask_endpoint(
        [record(QUESTION), *more], endpoint=f"http://127.0.0.1:{server.server_port}", model="m", per_record=2,
        screen=str, say=said.append, growth=growth, concurrency=2,
    )  # fmt: skip
    assert write_augmented(tmp_path / "a.jsonl", variants, growth) == 2
    assert growth.refused == {"no_answer": 1, "not_asked": 27}
    assert "27 questions" in said[-1]


def test_no_more_requests_are_under_way_than_allowed_and_the_order_is_kept(server):
    gate = threading.Barrier(3)

    def script(number: int, question: str) -> tuple[int, str]:
        time.sleep(0.03)  # a fourth would be counted in this time
        gate.wait(5)  # passes only where three are under way at once
        return 200, reply([f"{question[:-8]}的加班工资如何计算？"])

    server.script = script
    variants, _, growth, _ = ask(
        server, *(f"{i}月份的加班费怎么算？" for i in range(10, 22)), concurrency=3, per_record=1
    )
    assert server.busiest == 3
    assert [v.source for v in variants] == [f"a.txt:{i}" for i in range(1, 13)], growth


@pytest.mark.parametrize(
    "address",
    ["ftp://h/v1", "h/v1", "http://", "http://h:x/v1", "https://user:pw@h/v1", "https://h/v1?key=1", "http://主/"],
)
def test_an_address_that_cannot_be_used_or_holds_a_secret_is_refused_without_repeating_it(address):
    with pytest.raises(UsageError) as caught:
        list(ask_endpoint([record(QUESTION)], endpoint=address, model="m", per_record=1, screen=str, say=print))
    assert "LORA_SCRIPTS_API_KEY" in str(caught.value)
    assert "pw" not in str(caught.value)


def test_a_key_that_no_header_can_carry_is_refused(monkeypatch):
    monkeypatch.setenv("LORA_SCRIPTS_API_KEY", "a\nb")
    with pytest.raises(UsageError, match="header") as caught:
        list(ask_endpoint([record(QUESTION)], endpoint="http://h", model="m", per_record=1, screen=str, say=print))
    assert "a\nb" not in str(caught.value)


def test_personal_data_that_the_model_brings_in_is_refused(server):
    server.script = lambda number, question: (200, reply(["朝阳区的老板欠我2个月薪水，该如何讨要？", GOOD[0]]))
    variants, _, growth, _ = ask(server, screen=lambda words: words.replace("朝阳区", "[地址]"))
    assert len(variants) == 1
    assert growth.refused == {"personal": 1}
