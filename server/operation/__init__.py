"""The commands of operation, beside a running server: a module a command."""
