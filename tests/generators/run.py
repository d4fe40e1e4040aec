"""Types in every language: generated from the forms, compiled, and every example read and written with them.

    make generators

Rules of this module
1. A tool is called as docs/contracts.md says, and no generated line is changed.
2. A document has gone through a type if what comes out says the same, every field that the form names with its value,
   and if the gate reads it where it is the gate that reads it.
3. Each example is tried as it is published (inputs in the spelling of the writer form: times as epoch milliseconds);
   an output also as a later revision may write it: with unknown fields, unknown words and longer arrays.

The report goes to bench/results/generators.md and generators.json; the exit code is 1 if anything is amiss.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bench.report import keep, table
from streams.contracts.errors import RecordRefused
from tests.clients.programs import commands_in
from tests.contracts.decoders import read
from tests.contracts.form_documents import Example, later, meaning, of_readers, of_writers
from tests.contracts.schema_files import raw_schema
from tests.generators.toolbox import (
    HERE,
    ROOT,
    SCHEMAS,
    WORK,
    StepFailedError,
    install,
    node_tool,
    python,
    run,
    version_of,
)
from tests.generators.typescript import SETTINGS, program_of_converters, program_of_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FORMS: Final = sorted(
    path.relative_to(SCHEMAS).as_posix().removesuffix(".schema.json") for path in SCHEMAS.glob("*/*.schema.json")
)
EVENTS: Final = [form for form in FORMS if form != "readers/approved"]
EXAMPLES: Final = ROOT / "examples"
TYPES: Final = {"python": "events", "java": "src/main/java/mesura/examples/events", "go": "events", "node": "events"}
"""Where each example keeps what its README's command makes, and nothing else."""

OF_ONE_TOPIC: Final = {"readers/approval": "Approval", "readers/withdrawal": "Withdrawal"}
PYTHON_OPTIONS: Final = (
    *("--input-file-type", "jsonschema", "--target-python-version", "3.11", "--formatters", "builtin"),
    *("--use-title-as-name", "--use-annotated", "--enum-field-as-literal", "all", "--disable-timestamp"),
    *("--use-standard-collections", "--use-union-operator"),
)
UNION: Final = "`readers/approved` is a union"
PYTHON_TYPES: Final = {
    "pydantic_v2.BaseModel": f"{UNION}, which Pydantic resolves",
    "msgspec.Struct": f"{UNION}, tagged by `type`",
    "typing.TypedDict": f"{UNION} that `type` narrows. Types alone: msgspec checked them here",
}


@dataclass
class Verdict:
    """What became of the types of one tool in one language."""

    tool: str
    version: str
    language: str
    remark: str
    wrong: list[str] = field(default_factory=list)
    compiles: bool = False
    read: int = 0
    asked: int = 0
    told_apart: bool = True
    refuses_the_other: bool = True
    keeps_the_unknown: bool = True

    @property
    def holds(self) -> bool:
        """Whether nothing is amiss."""
        return self.compiles and self.asked > 0 and self.read == self.asked and self.told_apart

    def row(self) -> dict[str, Any]:
        """For the table."""
        return {
            "tool": self.tool,
            "version": self.version,
            "language": self.language,
            "compiles": _yes(self.compiles),
            "round-trips": f"{self.read} of {self.asked}",
            "told apart on one topic": _yes(self.told_apart),
            "an approval's type refuses a withdrawal": "yes" if self.refuses_the_other else "no",
            "keeps unknown fields": "yes" if self.keeps_the_unknown else "no",
            "remarks": self.remark,
        }


def _yes(it_is: bool) -> str:
    return "yes" if it_is else "**no**"


def examples() -> list[Example]:
    """Every document to be read; those of approved-send a second time as what may be either event."""
    outputs = [document for example in of_readers() for document in (example, later(example))]
    both = [example._replace(form="readers/approved") for example in outputs if example.form in OF_ONE_TOPIC]
    return [*of_writers(), *outputs, *both]


def crossed() -> list[Example]:
    """An approval as if it were a withdrawal, and the other way round: which tools notice?"""
    events = [example for example in of_readers() if example.form in OF_ONE_TOPIC]
    return [example._replace(form=form) for example in events for form in OF_ONE_TOPIC if form != example.form]


def type_name(form: str) -> str:
    """What every tool makes of the form's title."""
    return re.sub(r"(?:^|\s)(\w)", lambda word: word[1].upper(), raw_schema(form)["title"])


def file_name(form: str) -> str:
    """Of the file without its endings, as tools that name modules after files need it."""
    return form.partition("/")[2]


def judged(verdict: Verdict, documents: list[Example], run_program: Callable[[], str]) -> Verdict:
    """Compile and read; `run_program` returns a line of JSON for each document."""
    try:
        answers = [json.loads(line) for line in run_program().splitlines()]
    except StepFailedError as error:
        verdict.wrong.append(str(error))
        return verdict
    verdict.compiles = True
    assert len(answers) == len(documents), f"{verdict.tool} answered {len(answers)} of {len(documents)} documents"
    for example, answer in zip(documents, answers, strict=True):
        if event_of(example) != example.form and example.form in OF_ONE_TOPIC:
            verdict.refuses_the_other &= "error" in answer
            continue
        verdict.asked += 1
        if "error" in answer:
            verdict.wrong.append(f"{example.form}, {example.name}: {answer['error']}")
            continue
        form = raw_schema(event_of(example))
        found = json.loads(answer["text"])
        refusal = refused_by_the_gate(example.form, answer["text"])
        if refusal or not same(meaning(found, form), meaning(example.document, form)):
            verdict.wrong.append(f"{example.form}, {example.name}: {refusal} {answer['text']}")
        else:
            verdict.read += 1
        verdict.keeps_the_unknown &= unknown_to(form, example.document) <= found.keys()
        if example.form == "readers/approved":
            kinds = {OF_ONE_TOPIC[event_of(example)], example.document["type"]}
            verdict.told_apart &= answer["kind"].rpartition(".")[2] in kinds
    return verdict


def event_of(example: Example) -> str:
    """The form of the one event."""
    if example.form not in {"readers/approved", *OF_ONE_TOPIC}:
        return example.form
    return "readers/approval" if example.document["type"] == "approved" else "readers/withdrawal"


def refused_by_the_gate(form: str, text: str) -> str:
    """Why the gate does not read what the type has written; nothing of what it does not read at all."""
    if not form.startswith("writers/"):
        return ""
    try:
        read(file_name(form), text.encode())
    except RecordRefused as refusal:
        return f"{refusal.reason}: {refusal.detail}"
    return ""


def unknown_to(form: dict[str, Any], document: dict[str, Any]) -> set[str]:
    """Fields the form does not name."""
    return document.keys() - form["properties"].keys()


def same(one: Any, other: Any) -> bool:  # noqa: ANN401 - any part of a document
    """Equal as JSON: true is not 1, and 3.0 is 3."""
    return _plain(one) == _plain(other)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of a document
    if isinstance(value, dict):
        return {name: _plain(content) for name, content in value.items()}
    if isinstance(value, list):
        return [_plain(content) for content in value]
    if isinstance(value, bool):
        return str(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def asked_of(documents: list[Example]) -> str:
    """A line for each document, for programs that read them."""
    return "".join(
        json.dumps(
            {
                "form": example.form,
                "module": module_name(example.form),
                "name": type_name(example.form),
                "text": json.dumps(example.document, ensure_ascii=False),
            }
        )
        + "\n"
        for example in documents
    )


def compiled_by_tsc(folder: Path, program: str) -> str:
    """What the program prints, once tsc has nothing against it."""
    (folder / "program.ts").write_text(program)
    (folder / "tsconfig.json").write_text(json.dumps(SETTINGS))
    (folder / "package.json").write_text('{"type": "module"}')
    run([node_tool("tsc"), "-p", folder])
    return run(["node", folder / "out" / "program.js"])


def make_types() -> None:
    """Call every tool as docs/contracts.md says."""
    json2ts = _folder("typescript", "json-schema-to-typescript")
    for form in FORMS:
        run([node_tool("json2ts"), SCHEMAS / f"{form}.schema.json", json2ts / f"{file_name(form)}.ts"])
    for kind in ("readers", "writers"):
        run(["node", "modelina.mjs", SCHEMAS / kind, WORK])
    shutil.copytree(HERE / "go", WORK / "go")
    quicktype("typescript", "-o", _folder("typescript", "quicktype") / "events.ts")
    quicktype("java", "--package", "mesura.quicktype", "-o", _folder("java", "mesura", "quicktype") / "Converter.java")
    quicktype("go", "--package", "events", "-o", _folder("go", "events") / "events.go")
    for kind in PYTHON_TYPES:
        for form in FORMS:
            module = _folder("python", kind) / f"{module_name(form)}.py"
            files = ["--input", SCHEMAS / f"{form}.schema.json", "--output", module]
            run([python().parent / "datamodel-codegen", *files, "--output-model-type", kind, *PYTHON_OPTIONS])


def quicktype(language: str, *options: str | Path) -> None:
    """One call for all events, so that types of one name are told apart."""
    files = [SCHEMAS / f"{form}.schema.json" for form in EVENTS]
    run([node_tool("quicktype"), "--quiet", "--src-lang", "schema", "--lang", language, *options, *files])


def module_name(form: str) -> str:
    """A Python module's."""
    return file_name(form).replace(".", "_").replace("-", "_")


def stale_examples() -> list[str]:
    """Types that the examples use and that are not those made now, by the command of their README."""
    stale: list[str] = []
    schemas = WORK / "schemas"
    schemas.unlink(missing_ok=True)
    schemas.symlink_to(SCHEMAS)
    for readme in sorted(EXAMPLES.glob("*/README.md")):
        made = WORK / "examples" / readme.parent.name
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(readme.parent, made)
        types = made / TYPES[readme.parent.name]
        shutil.rmtree(types)
        types.mkdir()
        run(["bash", "-euc", commands_in(readme.parent, "Types")], folder=made)
        stale += [
            f"{readme.parent.name}/{file.name}"
            for file in sorted({*_names(types), *_names(readme.parent / TYPES[readme.parent.name])})
            if _text(types / file.name) != _text(readme.parent / TYPES[readme.parent.name] / file.name)
        ]
    return stale


def _names(folder: Path) -> list[Path]:
    return [path.relative_to(folder) for path in folder.iterdir() if path.is_file()]


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _folder(*names: str) -> Path:
    path = WORK.joinpath(*names)
    path.mkdir(parents=True, exist_ok=True)
    return path


def read_by_typescript(folder: Path, program: str) -> str:
    """What the program prints, once tsc has nothing against it."""
    (folder / "program.ts").write_text(program)
    (folder / "tsconfig.json").write_text(json.dumps(SETTINGS))
    (folder / "package.json").write_text('{"type": "module"}')
    run([node_tool("tsc"), "-p", folder])
    return run(["node", folder / "out" / "program.js"])


def read_by_java(tool: str, documents: list[Example]) -> str:
    """Both tools' types in one module, compiled by Maven."""
    project = WORK / "java" / "project"
    if not project.exists():
        shutil.copytree(HERE / "java", project)
        shutil.copytree(WORK / "java" / "mesura", project / "src" / "main" / "java" / "mesura", dirs_exist_ok=True)
        libraries = f"-DoutputDirectory={project / 'libraries'}"
        goals = ["compiler:compile", "dependency:copy-dependencies", libraries, "-DincludeScope=runtime"]
        run(["mvn", "-B", "-q", "-ntp", "-f", project / "pom.xml", *goals])
    class_path = f"{project / 'target' / 'classes'}:{project / 'libraries'}/*"
    return run(["java", "-cp", class_path, "mesura.generators.RoundTrip", tool], given=asked_of(documents))


def read_by_go(documents: list[Example]) -> str:
    """Vetted, built, run."""
    run(["go", "vet", "./..."], folder=WORK / "go")
    run(["go", "build", "-o", "round_trip", "."], folder=WORK / "go")
    return run([WORK / "go" / "round_trip"], given=asked_of(documents))


def read_by_python(kind: str, documents: list[Example]) -> str:
    """What stands for a compiler is mypy in strict mode."""
    folder = WORK / "python" / kind
    run([python(), "-m", "mypy", "--strict", "--no-incremental", *sorted(folder.glob("*.py"))])
    return run([python(), HERE / "python_round_trip.py", kind, folder], given=asked_of(documents))


def verdicts() -> Iterator[Verdict]:
    """One for each tool and language."""
    documents = examples()
    all_documents = [*documents, *crossed()]
    types = WORK / "typescript"

    def of_files(form: str) -> str:
        return f"./json-schema-to-typescript/{file_name(form)}"

    def of_folders(form: str) -> str:
        return f"./{file_name(form)}/{type_name(form)}"

    # For these two it is tsc that refuses the other event: the program says where it must.
    name, version = "json-schema-to-typescript", version_of("json-schema-to-typescript")
    remark = f"{UNION} that `type` narrows. Types alone: nothing is checked when a program runs"
    program = program_of_types(documents, type_name, of_files)
    yield judged(Verdict(name, version, "TypeScript", remark), documents, partial(read_by_typescript, types, program))

    name, version = "Modelina", version_of("@asyncapi/modelina")
    remark = f"with `rawPropertyNames`, or fields are renamed. {UNION} that `type` narrows. Types alone"
    program = program_of_types(documents, type_name, of_folders)
    yield judged(Verdict(name, version, "TypeScript", remark), documents, partial(read_by_typescript, types, program))
    remark = "with the Jackson preset. Look at `type` first"
    through = partial(read_by_java, "modelina", all_documents)
    yield judged(Verdict(name, version, "Java", remark), all_documents, through)

    name, version = "quicktype", version_of("quicktype")
    remark = "checks what it reads. It makes one type of a union, so look at `type` first"
    through = partial(read_by_typescript, types / "quicktype", program_of_converters(all_documents, type_name))
    yield judged(Verdict(name, version, "TypeScript", remark), all_documents, through)
    through = partial(read_by_java, "quicktype", all_documents)
    yield judged(Verdict(name, version, "Java", "look at `type` first"), all_documents, through)
    through = partial(read_by_go, all_documents)
    yield judged(Verdict(name, version, "Go", "look at `type` first"), all_documents, through)

    name, version = "datamodel-code-generator", version_of_python_generator()
    for kind, remark in PYTHON_TYPES.items():
        verdict = Verdict(name, version, f"Python, `{kind}`", remark)
        yield judged(verdict, all_documents, partial(read_by_python, kind, all_documents))


def version_of_python_generator() -> str:
    """What the lock pins."""
    lock = (ROOT / "requirements" / "generators.lock").read_text()
    found = re.search(r"(?m)^datamodel-code-generator==(\S+)", lock)
    assert found is not None
    return found[1]


def remarks_of_ajv() -> list[str]:
    """What the strict mode of ajv says of any schema, strict, reader or writer."""
    return run(["node", "strict.mjs", *sorted(SCHEMAS.rglob("*.schema.json"))]).splitlines()


def types_of_asyncapi() -> list[str]:
    """What Modelina makes of the AsyncAPI document."""
    return run(["node", "asyncapi.mjs", (SCHEMAS / "asyncapi.yaml").as_uri()]).split()


def digest_of_forms() -> str:
    """Of everything in the forms that a generator makes code of; a description may change."""

    def bare(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
        if isinstance(node, list):
            return [bare(part) for part in node]
        if not isinstance(node, dict):
            return node
        return {key: bare(part) for key, part in node.items() if key != "description" or not isinstance(part, str)}

    text = json.dumps({form: bare(raw_schema(form)) for form in FORMS}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def report(found: list[Verdict], remarks: list[str], from_asyncapi: list[str]) -> int:
    """Keep what was found, and say what is amiss."""
    events = {type_name(form) for form in EVENTS if "headers" not in form}
    lacking = sorted(events - set(from_asyncapi))
    said = "nothing" if not remarks else "; ".join(remarks)
    made = "a type of every event" if not lacking else f"no type of {', '.join(lacking)}"
    about = (
        "Written by `make generators`: types made of `schemas/readers` and `schemas/writers` as docs/contracts.md\n"
        "says, compiled (tsc in strict mode, javac, go vet and build, mypy in strict mode), and every published\n"
        "example read into them and written again. Inputs are in the spelling of the writer form; outputs also as a\n"
        "later revision may write them, with unknown fields and an unknown `reason`; what approved-send carries a\n"
        "second time, as either event."
    )
    sections = [
        (about, table([verdict.row() for verdict in found])),
        ("## ajv", f"Its strict mode says {said} of the {len(list(SCHEMAS.rglob('*.schema.json')))} schemas."),
        ("## AsyncAPI", f"Of `schemas/asyncapi.yaml` Modelina makes {made}."),
    ]
    document = {
        "forms": digest_of_forms(),
        "strict_mode": remarks,
        "asyncapi_lacks": lacking,
        "tools": [asdict(verdict) for verdict in found],
    }
    keep("generators", "What generators of types make of the schemas", sections, document)
    amiss = [verdict for verdict in found if not verdict.holds]
    for verdict in amiss:
        print("\n  ".join([f"{verdict.tool}, {verdict.language}:", *verdict.wrong[:5]]), file=sys.stderr)
    stale = stale_examples()
    if stale:
        print(f"not of these forms; call what the examples' README says: {', '.join(stale)}", file=sys.stderr)
    return 1 if amiss or remarks or lacking or stale else 0


def main() -> int:
    """Everything, and the report."""
    try:
        install()
        make_types()
        return report(list(verdicts()), remarks_of_ajv(), types_of_asyncapi())
    except StepFailedError as error:
        print(f"make generators: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
