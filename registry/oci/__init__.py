"""The first dialect: OCI Distribution, under /v2/."""
