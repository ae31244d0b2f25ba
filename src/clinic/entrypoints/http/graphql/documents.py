"""Prepares documents once: parses, validates, limits and, if they are plain, compiles them."""

import re
from dataclasses import dataclass
from functools import lru_cache

import graphql as g

from clinic.domain.text import words_told
from clinic.entrypoints.http.graphql.compiled import NotPlain, Plan
from clinic.entrypoints.http.graphql.limits import TOKENS_MAX, Asks, LimitExceeded, check_limits
from clinic.entrypoints.http.graphql.schema import CORE, attribute_of

CACHED_MAX = 64
_UNKNOWN_WORD = re.compile(
    r"Value '([^']*)' does not exist in '(\w+)' enum|Enum '(\w+)' cannot represent"
)
ERRORS_MAX = 10


class Refusal(Exception):
    """Raised for a request that is not executed: its status, and the errors that say why."""

    def __init__(self, status: int, code: str, *errors: g.GraphQLError | str) -> None:
        super().__init__(code)
        self.status, self.code = status, code
        self.errors = [e if isinstance(e, g.GraphQLError) else g.GraphQLError(e) for e in errors]


@dataclass(frozen=True, slots=True)
class Prepared:
    document: g.DocumentNode
    operation: g.OperationDefinitionNode
    asks: Asks
    #: None if Strawberry must execute it
    plan: Plan | None

    @property
    def is_query(self) -> bool:
        return self.operation.operation is g.OperationType.QUERY


class Documents:
    """Prepares documents; caches the last valid ones."""

    def __init__(self, *, introspection: bool) -> None:
        self._introspection = introspection
        self.prepare = lru_cache(maxsize=CACHED_MAX)(self._prepare)

    def _prepare(self, text: str, operation_name: str | None) -> Prepared:
        """Return the operation of this name, or the only one. Raises Refusal."""
        document = _parsed(text)
        errors = g.validate(CORE, document, max_errors=ERRORS_MAX, hide_suggestions=True)
        if errors:
            raise Refusal(422, "invalid_document", *map(with_words, errors))
        operation = g.get_operation_ast(document, operation_name)
        if operation is None or CORE.get_root_type(operation.operation) is None:
            raise Refusal(422, "unknown_operation", "Name one operation of the document.")
        try:
            asks = check_limits(CORE, document, operation, introspection=self._introspection)
        except LimitExceeded as limit:
            raise Refusal(422, limit.code, limit) from None
        try:
            plan = Plan(CORE, operation, attribute_of)
        except NotPlain:
            plan = None
        return Prepared(document, operation, asks, plan)


def with_words(error: g.GraphQLError) -> g.GraphQLError:
    """Return the error; if it is about an unknown enum value, with the valid ones added."""
    unknown = _UNKNOWN_WORD.search(error.message)
    enumeration = CORE.type_map.get(unknown[2] or unknown[3]) if unknown else None
    if unknown is None or not isinstance(enumeration, g.GraphQLEnumType):
        return error
    message = f"{error.message.rstrip('.')}; {words_told(unknown[1], enumeration.values)}"
    return g.GraphQLError(message, error.nodes, error.source, error.positions, error.path)


def _parsed(text: str) -> g.DocumentNode:
    try:
        return g.parse(text, max_tokens=TOKENS_MAX)
    except g.GraphQLSyntaxError as error:
        if f"more than {TOKENS_MAX} tokens" in error.message:
            raise Refusal(422, "too_many_tokens", error) from None
        raise Refusal(400, "syntax_error", error) from None
    except RecursionError:
        raise Refusal(422, "too_deep", "The document nests too deeply.") from None
