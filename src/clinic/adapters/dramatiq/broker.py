"""Dramatiq's Redis broker, with poison messages set aside instead of stranding their batch."""

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import redis
from dramatiq import Consumer, Message, MessageProxy, Middleware
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionClosed, DecodeError
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from clinic.adapters.dramatiq.scripts import load

logger = logging.getLogger(__name__)

SOCKET_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 3.0
#: how long a worker may be silent before another takes over what it fetched
HEARTBEAT_TIMEOUT_MS = 15_000
#: the pause after a fetch that failed
RECONNECT_S = 0.5


class _SharedRetry(Retry):
    """A retry policy shared by all connections, each of which would otherwise copy it."""

    def __deepcopy__(self, _memo: object) -> "_SharedRetry":
        return self


class _OneMessagePerId(Middleware):
    """Keeps each message in Redis under its own id, where Dramatiq would invent one per enqueue.

    A message that is enqueued again replaces itself, and whether it is ready can be looked up.
    """

    def before_enqueue(self, _broker: Any, message: Message[Any], _delay: int | None) -> None:
        message.options["redis_message_id"] = message.message_id


class Broker(RedisBroker):
    """A broker that neither retries nor delays messages: the outbox does both."""

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
            middleware=[_OneMessagePerId()],
            namespace=namespace,
            # Messages fetched by a killed worker go back with the next command of any other.
            maintenance_chance=1_000_000,
            heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        )
        self.poison_key = poison_key
        self.stopping = threading.Event()
        self._set_aside = client.register_script(load("set_aside"))

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """Return a consumer that survives poison and lost connections."""
        return _Consumer(self, super().consume(queue_name, prefetch, timeout), queue_name)

    def stop_retrying(self) -> None:
        """Make every failing command fail at once from now on, even one being retried."""
        self.stopping.set()
        self._retry.update_retries(0)

    def set_aside(self, queue_name: str, data: bytes) -> None:
        """Keep data that is not a message, for an operator to inspect."""
        logger.error("set aside %d bytes that are no message", len(data))
        acks = f"{self.namespace}:__acks__.{self.broker_id}.{queue_name}"
        bodies = f"{self.namespace}:{queue_name}.msgs"
        self._set_aside(keys=[acks, bodies, self.poison_key], args=[data])


class _Consumer(Consumer):
    """Dramatiq's consumer. An error of the client counts as a lost connection, which Dramatiq
    recovers from; any other error would strand what was fetched."""

    def __init__(self, broker: Broker, consumer: Any, queue_name: str) -> None:
        self._broker = broker
        self._consumer = consumer
        self._queue_name = queue_name
        self._is_connected = True

    def __next__(self) -> MessageProxy | None:
        """Return the next message; None if there is none yet, or while Redis is unreachable."""
        try:
            message = self._next_readable()
        except (redis.RedisError, ConnectionClosed) as error:
            # Not raised: Dramatiq would start a new consumer only after 3 s.
            if self._is_connected:
                logger.warning("the queue cannot be reached: %s", error)
            self._is_connected = False
            self._broker.stopping.wait(RECONNECT_S)
            return None
        self._is_connected = True
        return message

    def _next_readable(self) -> MessageProxy | None:
        while True:
            try:
                message: MessageProxy | None = next(self._consumer)
            except DecodeError as error:
                self._broker.set_aside(self._queue_name, error.data)
            else:
                return message

    def ack(self, message: MessageProxy) -> None:
        self._settle(self._consumer.ack, message)

    def nack(self, message: MessageProxy) -> None:
        self._settle(self._consumer.nack, message)

    def _settle(self, settle: Callable[[MessageProxy], None], message: MessageProxy) -> None:
        """Acknowledge or reject a message. Dramatiq retries until Redis is back; while the worker
        stops, the message is left to another worker, which finds the job done."""
        try:
            settle(message)
        except (redis.TimeoutError, ConnectionClosed) as error:
            if not self._broker.stopping.is_set():
                raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
            logger.warning("a message was not acknowledged: the queue cannot be reached")

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        try:
            self._consumer.requeue(messages)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Return messages that were fetched but not started, for other workers to fetch at once."""
        # This only saves a fetch: messages fetched here would be returned too.
        self._consumer.prefetch = 0
        with suppress(redis.RedisError, ConnectionClosed):
            held = list(iter(self._next_readable, None))
            self._consumer.requeue(held)
