"""The TypeScript programs that read every document with the generated types, written by `run.py` and checked by tsc.

Two of three tools write types alone, and types are gone when the program runs. So the documents stand in the program:
that it compiles says that each of them is of its type; and that a withdrawal is none of an approval's is said with it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.contracts.form_documents import Example

SETTINGS: Final = {
    "compilerOptions": {
        "strict": True,
        "noImplicitReturns": True,
        "noEmitOnError": True,
        "target": "es2022",
        "module": "esnext",
        "moduleResolution": "bundler",
        "types": [],
        "outDir": "out",
    }
}
# Fields that a type does not name are an error in a literal, and nowhere else. So a literal is compared with the type
# opened: as it is for what has been read.
_OPEN: Final = """type Open<Event> = Event extends readonly (infer Entry)[]
  ? Open<Entry>[]
  : Event extends object
    ? { [Field in keyof Event]: Open<Event[Field]> } & { [other: string]: unknown }
    : Event;
function of<Event>() {
  return <Given extends Open<Event>>(given: Given): Given => given;
}
"""
_START: Final = """declare const console: { log(line: string): void };
function say(kind: string, text: string): void {
  console.log(JSON.stringify({ kind, text }));
}
function read(kind: string, through: () => string): void {
  try {
    say(kind, through());
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
"""
_TOLD_APART: Final = """function eventOf(event: ApprovalOrWithdrawal): string {
  switch (event.type) {
    case "approved": {
      const remaining: Record<string, number> = event.remaining;
      return remaining === undefined ? "" : "Approval";
    }
    case "withdrawn": {
      const reason: string = event.reason;
      return reason === undefined ? "" : "Withdrawal";
    }
  }
}
"""
_BY_TYPE: Final = """function readBoth(text: string): void {
  const type = (JSON.parse(text) as { type: string }).type;
  if (type === "approved") say("Approval", Convert.approvalToJson(Convert.toApproval(text)));
  else if (type === "withdrawn") say("Withdrawal", Convert.withdrawalToJson(Convert.toWithdrawal(text)));
}
"""


def program_of_types(examples: Sequence[Example], name: Callable[[str], str], module: Callable[[str], str]) -> str:
    """For a tool that writes types alone. `name` and `module` say how the type of a form is called and where it is."""
    forms = sorted({example.form for example in examples})
    lines = [f'import type {{ {name(form)} }} from "{module(form)}";' for form in forms]
    lines += [_START, _OPEN, _TOLD_APART]
    for example in examples:
        document = json.dumps(example.document, ensure_ascii=False)
        if example.form == "readers/approved":
            lines += ["{", f"  const event: ApprovalOrWithdrawal = of<ApprovalOrWithdrawal>()({document});"]
            lines += ["  say(eventOf(event), JSON.stringify(event));", "}"]
        else:
            event = name(example.form)
            lines += ["{", f"  const event: {event} = of<{event}>()({document});"]
            lines += [f'  say("{event}", JSON.stringify(event));', "}"]
        if example.form in ("readers/approval", "readers/withdrawal"):
            other = {"readers/approval": "Withdrawal", "readers/withdrawal": "Approval"}[example.form]
            lines += ["// @ts-expect-error: it is the other event", f"of<{other}>()({document});"]
    return "\n".join(lines) + "\n"


def program_of_converters(examples: Sequence[Example], name: Callable[[str], str]) -> str:
    """For quicktype, which writes functions that read and check."""
    lines = ['import { Convert } from "./events.js";', _START, _BY_TYPE]
    for example in examples:
        text = json.dumps(json.dumps(example.document, ensure_ascii=False), ensure_ascii=False)
        if example.form == "readers/approved":
            lines.append(f"readBoth({text});")
        else:
            kind = name(example.form)
            write = f"Convert.{kind[0].lower()}{kind[1:]}ToJson"
            lines.append(f'read("{kind}", () => {write}(Convert.to{kind}({text})));')
    return "\n".join(lines) + "\n"
