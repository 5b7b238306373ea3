// Judges by ajv, as strictly as it can be asked to: a line of JSON in, a line of JSON out.
// {"schema": {…}} compiles and remembers a schema by its $id; {"id": …, "instance": …} validates by it;
// {"pattern": …} compiles a pattern as JSON Schema wants it (draft 2020-12 §6.4: ECMA-262 with the flag u).
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(process.argv[2]);
const Ajv = require("ajv/dist/2020").default;
const ajv = new Ajv({ strict: true, allErrors: true, logger: false });
require("ajv-formats").default(ajv);

const answer = ({ schema, pattern, id, instance }) => {
  if (pattern !== undefined) {
    new RegExp(pattern, "u");
    return [];
  }
  if (schema) {
    ajv.compile(schema);
    return [];
  }
  const validate = ajv.getSchema(id);
  return validate(instance) ? [] : validate.errors.map((error) => `${error.instancePath || "/"} ${error.message}`);
};

for await (const line of createInterface({ input: process.stdin })) {
  let said;
  try {
    said = answer(JSON.parse(line));
  } catch (error) {
    said = [`${error.name}: ${error.message}`];
  }
  console.log(JSON.stringify(said));
}
