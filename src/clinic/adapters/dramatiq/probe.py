"""Checks whether a Redis is suitable for the queue."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

TIMEOUT_S = 2.0
#: a worker that has not fetched for this long counts as gone
SILENT_S = 60.0
#: how much two clocks may differ
APART_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class QueueServer:
    """What a Redis reports about itself."""

    #: by its own clock, in seconds since 1970
    now_s: float
    #: the policy by which it would evict the queue when its memory is full, or None
    evicts: str | None
    is_kept_on_disk: bool
    #: a process fetches from the queue
    has_worker: bool


def probe_queue_server(url: str, *, namespace: str = "clinic") -> QueueServer:
    """Return what the server at `url` reports. Raises RedisError, OSError, ValueError."""
    with redis.Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    ) as client:
        info: dict[str, Any] = client.info()
        seconds, microseconds = client.time()
        since_ms = (time.time() - SILENT_S) * 1000
        heard = client.zcount(f"{namespace}:dramatiq:__heartbeats__", since_ms, "+inf")
    policy = str(info.get("maxmemory_policy", ""))
    # The queue's keys have no expiry, so the volatile policies do not evict them.
    evicts = policy if policy.startswith("allkeys") and int(info.get("maxmemory", 0)) else None
    on_disk = bool(info.get("aof_enabled"))
    return QueueServer(seconds + microseconds / 1e6, evicts, on_disk, heard > 0)


def queue_server_faults(url: str, *, has_workers: bool) -> Iterator[tuple[str, str, bool]]:
    """Yield what is wrong with the server, the remedy, and whether it is only a hint.

    `has_workers`: some worker should be fetching from the queue.
    """
    try:
        server = probe_queue_server(url)
    except (RedisError, OSError, ValueError) as error:
        yield (
            f"Redis does not answer: {str(error) or type(error).__name__}",
            "start it, or correct address or password; messages wait in the database until then",
            False,
        )
        return
    if server.evicts:
        yield (
            f"its maxmemory-policy is {server.evicts}: when its memory is full, it throws the"
            " queue away",
            "set maxmemory-policy noeviction, or CLINIC_QUEUE_URL to a Redis for the queue alone",
            False,
        )
    if not server.is_kept_on_disk:
        yield (
            "it keeps nothing on disk: a restart empties the queue until workers have filled it"
            " again",
            "set appendonly yes",
            True,
        )
    ahead_s = server.now_s - time.time()
    if abs(ahead_s) > APART_MAX_S:
        yield (
            f"its clock is {ahead_s:+.0f} s from this machine's: messages are looked at too early,"
            " or sent some seconds late",
            "let NTP set both clocks",
            False,
        )
    if has_workers and not server.has_worker:
        yield (
            f"no worker has asked for messages for {SILENT_S:.0f} s: nothing is sent",
            "run clinic worker",
            False,
        )
