// Types by Modelina: `node modelina.mjs FORMS OUT`, FORMS a folder of reader or writer forms, OUT where the files go.
import { JavaFileGenerator, JAVA_JACKSON_PRESET, TypeScriptFileGenerator } from "@asyncapi/modelina";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

const [, , forms, out] = process.argv;
for (const file of readdirSync(forms)) {
  const form = JSON.parse(readFileSync(join(forms, file), "utf8"));
  const event = basename(file, ".schema.json");
  const typescript = new TypeScriptFileGenerator({
    modelType: "interface",
    rawPropertyNames: true, // else `decision_id` becomes `decisionId`, and nothing translates between them
    mapType: "record",
    enumType: "union",
    moduleSystem: "ESM",
  });
  await typescript.generateToFiles(form, folder(out, "typescript", event), { exportType: "named" });
  const java = new JavaFileGenerator({ collectionType: "List", presets: [JAVA_JACKSON_PRESET] });
  await java.generateToFiles(form, folder(out, "java", "mesura", "modelina"), { packageName: "mesura.modelina" });
}

function folder(...names) {
  const path = join(...names);
  mkdirSync(path, { recursive: true });
  return path;
}
