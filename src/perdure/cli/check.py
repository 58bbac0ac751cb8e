"""`perdure check`: the source of workflows, looked over for what a replay may not repeat."""

from typing import Any

from perdure.cli.exits import Exit
from perdure.cli.output import one_line, print_error, print_json
from perdure.cli.verbs import Parser, Verb, add_output
from perdure.core.errors import InvalidOption
from perdure.lint import Severity, check


def _add_check(parser: Parser) -> None:
    parser.add_argument("targets", nargs="+", metavar="MODULE|FILE|DIR", help="what to check; nothing of it is run")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    add_output(parser)


def _check(options: Any) -> int:
    checked = check(options.targets)
    if not checked.workflows:
        fact = f"hold no workflow in {checked.files_count} files"
        remedy = "name the files where @app.workflow stands"
        raise InvalidOption(name="targets", value=" ".join(options.targets), fact=fact, remedy=remedy)
    bad = [each for each in checked.findings if options.strict or each.severity is Severity.ERROR]
    if options.output == "json":
        print_json(checked.findings)
    else:
        for each in checked.findings:
            where = f"{each.file}:{each.line}:{each.column}"
            print(
                one_line(f"{where}: {each.code} {each.severity}: {each.fact}; {each.remedy} (workflow {each.workflow})")
            )
    files, workflows = checked.files_count, len(checked.workflows)
    print_error(f"perdure: {workflows} workflows in {files} files checked, {len(checked.findings)} findings")
    return Exit.FAILED if bad else Exit.OK


VERBS = (Verb(("check",), "look over the source of workflows for what no replay repeats", _add_check, _check),)
