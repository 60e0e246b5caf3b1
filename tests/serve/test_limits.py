"""Keys, limits of a client, and the queue that all share, on a clock that the test moves."""

from __future__ import annotations

import time

import pytest

from lora_scripts.errors import UsageError
from lora_scripts.serve import limits
from lora_scripts.serve.http.failures import failure_of
from lora_scripts.serve.limits import Admission, ApiKey, Busy, digest_of_key, find_key


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = time.monotonic() + 60  # later than any true reading that a bucket begins with

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(limits, "time", made)
    return made


def key(**more: int) -> ApiKey:
    return ApiKey("client", digest_of_key("secret"), **more)


def busy(admission: Admission, client: ApiKey | None, answers: int = 1) -> Busy:
    with pytest.raises(Busy) as caught:
        admission.enter(client, answers)
    return caught.value


@pytest.mark.parametrize("given", ["", "secret ", "Secret", "secre", "secrets", "秘密", "\udc80", "s" * 100_000])
def test_only_the_key_itself_is_found(given: str) -> None:
    known = [ApiKey("one", digest_of_key("first")), ApiKey("two", digest_of_key("secret"))]
    assert find_key(known, given) is None
    assert find_key(known, "secret") is known[1]
    assert find_key([], "secret") is None


def test_all_keys_are_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(limits.hmac, "compare_digest", lambda a, b: compared.append(a) or a == b)
    known = [ApiKey(str(i), digest_of_key(str(i))) for i in range(5)]
    assert find_key(known, "0") is known[0]
    assert len(compared) == 5


def test_places_are_given_back(clock: Clock) -> None:
    admission = Admission(3)
    admission.enter(None, 2)
    assert busy(admission, None, 2).key == "serve.queue_full"
    admission.enter(None, 1)
    admission.leave(None, 2, 100)
    admission.enter(None, 2)
    assert admission.open == 3


def test_more_answers_than_there_are_places_are_no_matter_of_waiting(clock: Clock) -> None:
    with pytest.raises(UsageError):
        Admission(3).enter(None, 4)


def test_a_refused_request_takes_nothing(clock: Clock) -> None:
    admission, client = Admission(1), key(requests_per_minute=2, concurrent_requests=1)
    admission.enter(client, 1)
    for _ in range(5):
        assert busy(admission, client).key == "serve.queue_full"
    admission.leave(client, 1, 0)
    admission.enter(client, 1)
    admission.leave(client, 1, 0)
    assert admission.open == 0
    assert busy(admission, client).key == "serve.key_requests"
    assert admission.open == 0


def test_requests_of_a_minute_come_back_evenly_and_after_the_told_wait(clock: Clock) -> None:
    admission, client = Admission(100), key(requests_per_minute=6)
    for _ in range(6):
        admission.enter(client, 1)
    wait = busy(admission, client).seconds
    assert wait == pytest.approx(10, abs=0.5)
    clock.now += wait - 1
    busy(admission, client)
    clock.now += 1
    admission.enter(client, 1)
    clock.now += 3600
    for _ in range(6):
        admission.enter(client, 1)
    assert busy(admission, client).key == "serve.key_requests"


@pytest.mark.parametrize("per_minute", [7, 11, 13, 44])
def test_a_client_that_waits_as_long_as_retry_after_says_gets_in(clock: Clock, per_minute: int) -> None:
    admission, client = Admission(100), key(requests_per_minute=per_minute)
    for _ in range(per_minute):
        admission.enter(client, 1)
    failure = failure_of(busy(admission, client))
    assert failure.status == 429
    clock.now += int(failure.headers["Retry-After"])
    admission.enter(client, 1)


def test_tokens_count_when_they_are_known(clock: Clock) -> None:
    admission, client = Admission(100), key(tokens_per_minute=600)
    admission.enter(client, 1)
    admission.leave(client, 1, 1200)
    refused = busy(admission, client)
    assert refused.key == "serve.key_tokens"
    assert refused.seconds == pytest.approx(60, abs=1)
    clock.now += refused.seconds + 0.01
    admission.enter(client, 1)


def test_requests_at_once_are_counted_per_client(clock: Clock) -> None:
    admission, client = Admission(100), key(concurrent_requests=2)
    other = ApiKey("other", digest_of_key("x"), concurrent_requests=2)
    for one in (client, client, other):
        admission.enter(one, 1)
    assert busy(admission, client).key == "serve.key_concurrent"
    admission.enter(other, 1)
    admission.leave(client, 1, 0)
    admission.enter(client, 1)


def test_nobody_enters_a_server_that_goes_down(clock: Clock) -> None:
    admission = Admission(100)
    admission.draining = True
    assert failure_of(busy(admission, None)).status == 503
