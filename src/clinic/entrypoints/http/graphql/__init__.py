"""GraphQL beside REST: the same use cases and policy, at one address."""

from clinic.entrypoints.http.graphql.handler import graphql_endpoints

__all__ = ["graphql_endpoints"]
