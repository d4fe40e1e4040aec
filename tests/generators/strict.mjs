// What ajv says of schemas in its strict mode: `node strict.mjs FILE…`, a line for each remark, nothing if there is none.
import addFormats from "ajv-formats";
import Ajv from "ajv";
import Ajv2020 from "ajv/dist/2020.js";
import { readFileSync } from "node:fs";
import { basename } from "node:path";

for (const file of process.argv.slice(2)) {
  const say = (remark) => console.log(`${basename(file)}: ${remark}`);
  const schema = JSON.parse(readFileSync(file, "utf8"));
  const Dialect = schema.$schema.includes("draft-07") ? Ajv.default : Ajv2020.default;
  const ajv = new Dialect({ strict: "log", strictRequired: "log", logger: { log: say, warn: say, error: say } });
  addFormats.default(ajv);
  try {
    ajv.compile(schema);
  } catch (error) {
    say(error.message);
  }
}
