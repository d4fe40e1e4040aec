// Names of the types that Modelina makes of an AsyncAPI document: `node asyncapi.mjs URL`, one a line.
import { TypeScriptGenerator } from "@asyncapi/modelina";

for (const model of await new TypeScriptGenerator().generate(process.argv[2])) console.log(model.modelName);
