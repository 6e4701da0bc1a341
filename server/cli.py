"""The command line: `longshore serve`, and the commands of operation."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config.settings import SettingsInvalid, load_settings
from server.commands import add_commands, find


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 only on success; errors are one line on stderr."""
    options = _parser(sys.argv[1:] if arguments is None else arguments).parse_args(arguments)
    try:
        settings = load_settings(options.config, overrides=_overrides(options))
        return int(options.run(settings, options))
    except KeyboardInterrupt:
        return 130
    except SettingsInvalid as error:
        refusal = str(error)
    except Exception as error:
        refusal = find("server.refusals:refusal")(error)
        if not refusal:
            raise
    print(f"longshore: {refusal}", file=sys.stderr)
    return int(getattr(options, "failure", 1))


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="longshore", description="A private container registry that speaks Amazon ECR."
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="a settings file (TOML); see config/default.toml")
    common.add_argument("--data", metavar="DIR", help="where everything is kept (default: ./var)")
    add_commands(parser.add_subparsers(dest="command", required=True, metavar="COMMAND"), common, words)
    return parser


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"longshore {find('server.process:build')()[0]}")
        parser.exit()


def _overrides(options: argparse.Namespace) -> dict[tuple[str, str], Any]:
    named = {key: getattr(options, key, None) for key in ("host", "port", "workers", "data")}
    return {("server", key): value for key, value in named.items() if value is not None}
