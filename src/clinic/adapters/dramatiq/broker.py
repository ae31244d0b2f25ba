"""Dramatiq's Redis broker, with poison messages set aside instead of stranding their batch."""

import json
import logging
from contextlib import suppress
from typing import Any

import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed, DecodeError
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from clinic.adapters.dramatiq.scripts import SET_ASIDE

logger = logging.getLogger(__name__)

SOCKET_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 3.0
#: how long a worker may be silent before another takes over what it fetched
HEARTBEAT_TIMEOUT_MS = 15_000


class _SharedRetry(Retry):
    """One for every connection, each of which would copy it."""

    def __deepcopy__(self, _memo: object) -> "_SharedRetry":
        return self


class Broker(RedisBroker):
    """A broker without middleware: nothing is retried or delayed here, the outbox does both."""

    def __init__(self, url: str, *, namespace: str, poison_key: str) -> None:
        self._retry = _SharedRetry(ExponentialBackoff(cap=0.5, base=0.05), 3)
        client = redis.Redis.from_url(
            url,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            retry=self._retry,
            retry_on_error=[redis.ConnectionError, redis.TimeoutError],
        )
        super().__init__(  # type: ignore[no-untyped-call]
            client=client,
            middleware=[],
            namespace=namespace,
            # What a killed worker had fetched goes back with the next command of any other.
            maintenance_chance=1_000_000,
            heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        )
        self.poison_key = poison_key
        self.is_stopping = False
        self._set_aside = client.register_script(SET_ASIDE)

    @property
    def consumer_class(self) -> type[_RedisConsumer]:
        return _Consumer

    def stop_retrying(self) -> None:
        """Let what fails from now on fail at once, even what is being retried."""
        self.is_stopping = True
        self._retry.update_retries(0)

    def set_aside(self, queue_name: str, data: bytes) -> None:
        """Keep what is no message for somebody to look at."""
        logger.error("set aside %d bytes that are no message", len(data))
        acks = f"{self.namespace}:__acks__.{self.broker_id}.{queue_name}"
        bodies = f"{self.namespace}:{queue_name}.msgs"
        self._set_aside(keys=[acks, bodies, self.poison_key], args=[data])


class _Consumer(_RedisConsumer):
    """Hands on what can be read. A timeout of the client counts as a lost connection, which
    dramatiq gets over; anything else would strand what was fetched."""

    def __next__(self) -> Any:
        while True:
            try:
                return super().__next__()  # type: ignore[no-untyped-call]
            except DecodeError as error:
                self.broker.set_aside(self.queue_name, error.data)
            except redis.TimeoutError as error:
                raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Give back what was fetched and not handed on, for others to fetch at once."""
        held, self.message_cache = self.message_cache, []
        ids = [found for data in held if (found := _id_of(data)) is not None]
        if ids:
            with suppress(redis.RedisError):
                self.broker.do_requeue(self.queue_name, *ids)

    def ack(self, message: Any) -> None:
        """Acknowledge a message. While the worker stops, one that cannot be is left to another
        worker, which finds it done; dramatiq would try until the connection is back."""
        try:
            super().ack(message)  # type: ignore[no-untyped-call]
        except (redis.TimeoutError, ConnectionClosed) as error:
            if not self.broker.is_stopping:
                raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
            logger.warning("a message was not acknowledged: the queue cannot be reached")


def _id_of(data: bytes | None) -> str | None:
    """Return the id that dramatiq keeps a message under, None when it cannot be read."""
    try:
        found: str = json.loads(data or b"")["options"]["redis_message_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return found
