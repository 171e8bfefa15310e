// Reads a fleet of AI agents from a live directory that Ensign keeps.
//
//     const fleet = new Fleet("/srv/fleet/prod");
//     const session = await fleet.session("support/refund-triage", { key: "ticket-4711" });
//     session.instructions; session.model.name; session.toolSchemas();
//
// Copy this file into your project, and ensign.d.mts beside it for TypeScript: no dependency, Node 18 or newer. From a
// shell, `node ensign.mjs LIVE_DIR AGENT --key KEY` prints which version a session takes.
//
// A session is one unit of work that must not change its mind half way: a ticket, a conversation, a run. Its key decides
// which version it takes while two are live, always the same way, in every process and language. A session never changes
// once it is open; the next one sees whatever is live then. What is live is described in docs/runtimes.md.

import { AsyncLocalStorage } from "node:async_hooks";
import { createHash, createPublicKey, randomBytes, verify } from "node:crypto";
import {
  closeSync, constants, linkSync, openSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync,
} from "node:fs";
import { open, stat } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";

export const version = "0.1.0";

// ---------------------------------------------------------------------------------------------------------- errors

/** Anything that keeps a session from starting. Catch this one to catch them all. */
export class EnsignError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The caller's agent name or session key cannot be one. No file was touched. */
export class InvalidArgument extends EnsignError {}

/** The fleet does not have this agent. */
export class AgentNotFound extends EnsignError {}

/** The agent was stopped on purpose. Start nothing for it, and do not retry until somebody resumes it. */
export class AgentHalted extends EnsignError {}

/** The live directory, or a file in it, cannot be read now. This may clear by itself; try again later. */
export class FleetUnavailable extends EnsignError {}

/** A route does not say what a route must say. Ensign repairs it at its next reconcile; `ensign drift` shows it. */
export class CorruptRoute extends EnsignError {}

/** A route, or the header, is not signed by one of the keys, or is older than one that was seen. Nothing of it counts. */
export class Unproven extends CorruptRoute {}

/** The keys cannot be used. Nothing is believed without them. */
export class InvalidKeys extends EnsignError {}

/** A bundle's bytes do not have the digest that the route names, or are not a bundle. No part of it was used. */
export class CorruptBundle extends EnsignError {}

/** The agent has no model, or no single prompt, of its own: its `runtime` or its `prompts` say more. */
export class NotDeclared extends EnsignError {}

// --------------------------------------------------------------------------------------------------------- routing

const NAME = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const AGENT = new RegExp(`^${NAME}/${NAME}$`);
const DIGEST = /^sha256:([0-9a-f]{2})([0-9a-f]{62})$/;
const PHASES = ["stable", "canary", "halted"];

/** Returns the bucket, 0...99, of a session: `digest` is that of the first route, with its `sha256:`. */
export function bucket(agent, digest, key) {
  const hash = createHash("sha256").update(`${agent}\n${digest}\n${key}`, "utf8").digest();
  return Number(hash.readBigUInt64BE(0) % 100n);
}

/**
 * Returns a session's bucket and the version it takes: the first whose running sum of weights exceeds the bucket. A bucket
 * depends on the candidate, not on its weight, so a session keeps its version while the weight grows.
 */
export function select(route, key) {
  if (route.phase === "halted") {
    throw new AgentHalted(
      `agent ${route.agent} is halted in ${route.environment}: start no session for it ` +
        `(\`ensign status --env ${route.environment}\` says since when and why)`,
    );
  }
  if (typeof key !== "string") throw new InvalidArgument(`a session key is text, not ${kind(key)}`);
  if (!isWellFormed(key)) throw new InvalidArgument("the session key is not valid Unicode");
  const number = bucket(route.agent, route.routes[0].digest, key);
  let running = 0;
  for (const choice of route.routes) {
    running += choice.weight;
    if (running > number) return { bucket: number, choice };
  }
  throw new CorruptRoute(`route of ${route.agent}: weights add up to ${running}, not to 100`);
}

function parseRoute(data, agent, where) {
  const fields = new Fields(decode(data, where, CorruptRoute), where, CorruptRoute);
  if (fields.text("agent") !== agent) fields.fail("agent", `names '${fields.text("agent")}', in the place of '${agent}'`);
  const environment = fields.text("environment");
  const phase = fields.text("phase");
  if (!PHASES.includes(phase)) {
    fields.fail("phase", `unknown phase '${phase}': this client knows ${PHASES.join(", ")}`);
  }
  // Decides alone: nothing else in the file can start a halted agent.
  if (phase === "halted") return freeze({ agent, environment, phase, routes: [] });
  const routes = fields.objects("routes").map((entry) => {
    const choice = { version: entry.text("version"), digest: entry.text("digest"), weight: entry.integer("weight") };
    if (!DIGEST.test(choice.digest)) {
      entry.fail("digest", `'${choice.digest}' is not sha256: and 64 lower-case hexadecimal digits`);
    }
    if (choice.weight < 0 || choice.weight > 100) entry.fail("weight", `${choice.weight} is not in 0...100`);
    return choice;
  });
  const total = routes.reduce((sum, choice) => sum + choice.weight, 0);
  if (total !== 100) fields.fail("routes", `weights add up to ${total}, not to 100`);
  return freeze({ agent, environment, phase, routes });
}

// --------------------------------------------------------------------------------------------------- names of tools

const MODEL_NAME_LIMIT = 64;
const DIGEST_DIGITS = 10;
const LOOKS_DIGESTED = new RegExp(`_[0-9a-fA-F]{${DIGEST_DIGITS}}$`);
const NAME_LIMIT = 256;
const SEPARATORS = ["__", ".", "/"];

/**
 * Returns the name by which a model calls an operation: 1 to 64 of `A-Za-z0-9_-`, and no other operation's.
 *
 * `<tool>__<operation>` where that is allowed and can be nothing else; otherwise the same with `_` for each `.`, cut, and
 * with a digest behind it. It depends on nothing else that is granted. Tests/Vectors/model-names.json has examples.
 */
export function modelName(tool, operation) {
  const plain = `${tool}__${operation}`;
  const isClear =
    !/\.|__|^_|_$/.test(operation) && !LOOKS_DIGESTED.test(plain) && [...plain].length <= MODEL_NAME_LIMIT;
  if (isClear) return plain;
  const digest = createHash("sha256").update(`${tool}.${operation}`, "utf8").digest("hex").slice(0, DIGEST_DIGITS);
  const cut = [...plain.replaceAll(".", "_")].slice(0, MODEL_NAME_LIMIT - 1 - DIGEST_DIGITS).join("");
  return `${cut}_${digest}`;
}

/**
 * Which granted operation a name means. The rules are those of docs/telemetry.md, "Names of tools";
 * Tests/Vectors/tool-names.json has examples.
 */
class Names {
  #operations;
  #tools;
  #byModelName = new Map();
  #byWriting = new Map();
  #byWords = new Map();
  #modelNameWords = new Map();

  constructor(operations) {
    const order = (left, right) => compare(left.tool, right.tool) || compare(left.name, right.name);
    this.#operations = [...operations].sort(order);
    this.#tools = new Set(this.#operations.map((operation) => operation.tool));
    this.#operations.forEach((operation, index) => {
      const add = (map, name) => map.get(name)?.add(index) ?? map.set(name, new Set([index]));
      const names = new Set([operation.name, operation.serverTool]);
      add(this.#byModelName, operation.schemaName);
      for (const name of names) {
        add(this.#byWriting, name);
        for (const words of foldings(name)) add(this.#byWords, words);
      }
      for (const words of spellings(operation.schemaName)) add(this.#modelNameWords, joined(words));
    });
  }

  find(name) {
    if (typeof name !== "string" || name === "" || Buffer.byteLength(name, "utf8") > NAME_LIMIT) return [];
    // A model's name is certain: no other operation has it, whatever else is granted.
    let found = this.#byModelName.get(name) ?? this.#reading(name, true);
    const rest = found ? "" : withoutProtocol(name);
    if (rest) found = this.#reading(rest, false);
    return [...(found ?? [])].sort((left, right) => left - right).map((index) => this.#operations[index]);
  }

  /** What a name can mean: as it is written, else by its words. Empty when it names what is not granted. */
  #reading(name, whole) {
    const found = new Set(whole ? this.#byWriting.get(name) : undefined);
    const take = (indices) => indices?.forEach((index) => found.add(index));
    for (const [tool, operation] of joints(name)) take(this.#of(tool, this.#byWriting.get(operation)));
    if (found.size) {
      // A framework may have made the same of another operation's name, unless that one has a separator of its own.
      if (!this.#isExplicit(name)) take(this.#modelNameWords.get(spellings(name)[0]));
      return found;
    }
    for (const separator of SEPARATORS) {
      const at = name.indexOf(separator);
      if (at < 0) continue;
      const tools = spellings(name.slice(0, at));
      for (const tool of tools) {
        for (const words of spellings(name.slice(at + separator.length))) take(this.#of(tool, this.#byWords.get(words)));
      }
      // It says whose operation it is, and that tool may grant none of this name.
      if (found.size || tools.some((tool) => this.#tools.has(tool))) return found;
    }
    for (const words of spellings(name)) {
      if (whole) take(this.#byWords.get(words));
      take(this.#modelNameWords.get(words));
      for (let index = 1; index < words.length - 1; index += 1) {
        if (words[index] !== "-") continue;
        take(this.#of(words.slice(0, index), this.#byWords.get(words.slice(index + 1))));
      }
    }
    return found.size ? found : undefined;
  }

  #isExplicit(name) {
    return SEPARATORS.some((separator) => {
      const at = name.indexOf(separator);
      if (at < 0) return false;
      return this.#of(name.slice(0, at), this.#byWriting.get(name.slice(at + separator.length))).length > 0;
    });
  }

  #of(tool, indices) {
    return [...(indices ?? [])].filter((index) => this.#operations[index].tool === tool);
  }
}

/** A name's words: small letters, `-` for `_` and `.`; if it has capitals inside words, also with `-` before them. */
function spellings(name) {
  const fold = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/[_.]/g, "-");
  const plain = fold(name);
  const apart = fold(name.replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z0-9])/g, "-"));
  return plain === apart ? [plain] : [plain, apart];
}

/** The words of a granted name; also as frameworks fold them, with one `-` for several and none at the ends. */
function foldings(name) {
  const found = spellings(name);
  return new Set([...found, ...found.map(joined).filter(Boolean)]);
}

function joined(words) {
  return words.split(/[-/]/).filter(Boolean).join("-");
}

/** The rest after the prefix that some runtimes put before the names of a protocol's tools. */
function withoutProtocol(name) {
  const prefix = /^[mM][cC][pP](?:__|[_./-])/.exec(name);
  return prefix ? name.slice(prefix[0].length) : "";
}

/** Everything that may be a tool and its operation as they are written, with one separator between, or two `_`. */
function* joints(name) {
  for (let index = 1; index < name.length - 1; index += 1) {
    if (!"_./-".includes(name[index])) continue;
    yield [name.slice(0, index), name.slice(index + 1)];
    if (name.startsWith("__", index) && index + 2 < name.length) yield [name.slice(0, index), name.slice(index + 2)];
  }
}

/** Orders as every language does: by code points. */
function compare(left, right) {
  return Buffer.compare(Buffer.from(left, "utf8"), Buffer.from(right, "utf8"));
}

/** Returns the name by which a model calls a tool. Of what has none, something to tell people what it was. */
function toolName(tool) {
  if (typeof tool === "string") return tool;
  const holders = [tool?.function, tool?.toolSpec, tool];
  for (const holder of holders) {
    if (holder !== null && ["object", "function"].includes(typeof holder)) {
      if (typeof holder.name === "string" && holder.name !== "") return holder.name;
    }
  }
  if (typeof tool?.type === "string") return tool.type;
  return tool === null || typeof tool !== "object" ? kind(tool) : "a tool without a name";
}

const GROUPS = ["functionDeclarations", "function_declarations"]; // Gemini's.

// ------------------------------------------------------------------------------------------------------- arguments

/** It would take too long to say, here or at the gateway, which then refuses. */
class TooMuch extends Error {}

/** A value that cannot be sent as it is. */
class NotJSON extends Error {}

const EXACT = 2 ** 53;
const MOST_NODES = 20_000;
const MOST_DEPTH = 32;

/** Returns a value as JSON has it, or throws. */
function plain(value, room, depth = 0) {
  room.left -= 1;
  if (room.left < 0 || depth > MOST_DEPTH) throw new TooMuch();
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") {
    if (!isWellFormed(value)) throw new NotJSON("a text that is not valid Unicode");
    return value;
  }
  if (typeof value === "number") {
    // It may be what a number beyond was rounded to: only the text that the gateway gets tells.
    if (Math.abs(value) === EXACT) throw new TooMuch();
    if (!(Math.abs(value) < EXACT)) throw new NotJSON("a number beyond 2^53, where whole numbers are not exact");
    return value + 0;
  }
  if (Array.isArray(value)) return Array.from(value, (each) => plain(each, room, depth + 1));
  if (isPlainObject(value)) {
    const found = Object.create(null);
    for (const [name, member] of Object.entries(value)) {
      // JSON.stringify leaves it out, and so does whoever sends the call.
      if (member === undefined) continue;
      found[plain(name, room, depth)] = plain(member, room, depth + 1);
    }
    return found;
  }
  throw new NotJSON(`${kind(value)} that JSON does not have`);
}

function isPlainObject(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Returns a text that is equal for equal values of JSON. */
function keyOf(value) {
  if (Array.isArray(value)) return `[${value.map(keyOf).join(",")}]`;
  if (isObject(value)) {
    return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${keyOf(value[name])}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

const isCount = (value) => Number.isInteger(value) && value >= 0;
const isNames = (value) =>
  Array.isArray(value) && value.every((each) => typeof each === "string") && new Set(value).size === value.length;
const has = (object, name) => isObject(object) && Object.hasOwn(object, name);
const isOwn = (keyword) => keyword.startsWith("x-") && keyword.length > 2;

const JSON_TYPES = {
  array: Array.isArray,
  boolean: (value) => typeof value === "boolean",
  integer: Number.isInteger,
  null: (value) => value === null,
  number: (value) => typeof value === "number",
  object: isObject,
  string: (value) => typeof value === "string",
};
const DIALECTS = {
  "http://json-schema.org/draft-07/schema": 7,
  "https://json-schema.org/draft/2019-09/schema": 2019,
  "https://json-schema.org/draft/2020-12/schema": 2020,
};
const ONLY_IN = {
  dependencies: [7],
  additionalItems: [7, 2019],
  prefixItems: [2020],
  dependentRequired: [2019, 2020],
  dependentSchemas: [2019, 2020],
  minContains: [2019, 2020],
  maxContains: [2019, 2020],
};
const TEXTS = ["title", "description", "format", "$comment", "contentEncoding", "contentMediaType", "$schema", "$id"];
const FLAGS = ["readOnly", "writeOnly", "deprecated"];
const ANNOTATIONS = new Set([
  ...TEXTS, ...FLAGS, "default", "examples", "example", "contentSchema", "discriminator", "$defs", "definitions",
]);
const ONE_SCHEMA = ["additionalItems", "contains", "additionalProperties", "propertyNames", "if", "then", "else", "not"];
const SCHEMA_LISTS = ["allOf", "anyOf", "oneOf", "prefixItems"];
const SCHEMAS_BY_NAME = ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];
const LIMITS = ["maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"];
const COUNTS = [
  "maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties", "minContains", "maxContains",
];
const AT_THE_SAME_VALUE = [
  "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependencies", "dependentSchemas",
];

/**
 * One JSON Schema of a bundle, as far as it can be held against values exactly (docs/json-schema.md).
 *
 * Answers are true, false, or null where this cannot tell: a pattern with parts that not every engine reads alike, a keyword
 * of a later Ensign. Null is never taken for true. It decides as the client for Python does, step by step.
 */
class Schema {
  #root;
  #patterns = new Map();
  #budget = 0;
  #dialect = 7;
  #isSound = false;

  constructor(root) {
    this.#root = root;
    // Ensign refuses a schema of which a part is not what it must be: then no value passes.
    this.#isSound = this.#look();
  }

  holds(value) {
    this.#budget = 200_000;
    const answer = orNull(() => this.#judge(this.#root, value));
    return answer === true && !this.#isSound ? null : answer;
  }

  /** Returns, in words, where a value that is refused does not fit. */
  culprit(value) {
    let schema = this.#root;
    let place = "";
    const isFalse = (inner, member) => {
      this.#budget = 20_000;
      return orNull(() => this.#judge(inner, member)) === false;
    };
    while (isObject(schema)) {
      const members = isObject(value) && isObject(schema.properties) ? Object.entries(schema.properties) : [];
      const inner = members.find(([name, member]) => has(value, name) && isFalse(member, value[name]));
      if (!inner) {
        const broken = (Array.isArray(schema.allOf) ? schema.allOf : []).find((part) => isFalse(part, value));
        if (broken === undefined) break;
        schema = broken;
        continue;
      }
      place += `${place ? "." : ""}${inner[0].slice(0, 80)}`;
      value = value[inner[0]];
      schema = inner[1];
    }
    const silent = ["properties", "additionalProperties", "$ref"];
    const words = isObject(schema) ? Object.entries(schema) : [];
    const broken = words.find(([keyword, limit]) => !silent.includes(keyword) && isFalse({ [keyword]: limit }, value));
    let text = broken ? `${broken[0]}: ${JSON.stringify(broken[1]).slice(0, 120)}` : "it does not fit the schema";
    if (!broken && isObject(schema) && isObject(value) && schema.additionalProperties === false) {
      const unknown = Object.keys(value).find((name) => !has(schema.properties, name));
      if (unknown !== undefined && !schema.patternProperties) text = `unexpected property '${unknown.slice(0, 80)}'`;
    }
    return place ? `${place}: ${text}` : text;
  }

  // What is in it.

  #look() {
    if (!isObject(this.#root)) return typeof this.#root === "boolean";
    const words = new Set();
    const answer = orNull(() => {
      collect(this.#root, words, 0);
      const label = this.#root.$schema;
      const uses = (names) => names.some((name) => words.has(name));
      if (label === undefined) {
        const later = uses(["prefixItems", "dependentRequired", "dependentSchemas", "minContains", "maxContains"]);
        if (later && uses(["dependencies", "additionalItems", "a list in items"])) return false;
        this.#dialect = later ? 2020 : 7;
      } else {
        const dialect = typeof label === "string" ? label.replace(/#$/, "") : "";
        if (!has(DIALECTS, dialect)) return false;
        this.#dialect = DIALECTS[dialect];
        if ([...words].some((word) => has(ONLY_IN, word) && !ONLY_IN[word].includes(this.#dialect))) return false;
      }
      return this.#check(this.#root, 0) && this.#ends();
    });
    return answer === true;
  }

  /** Whether each part is what Ensign takes. */
  #check(schema, depth) {
    if (!isObject(schema)) return typeof schema === "boolean";
    return (
      Object.entries(schema).every(([keyword, value]) => this.#fits(schema, keyword, value, depth)) &&
      [...inside(schema)].every(([, inner]) => this.#check(inner, depth + 1))
    );
  }

  #fits(schema, keyword, value, depth) {
    if (isOwn(keyword)) return true;
    if (["$schema", "$id"].includes(keyword) && depth > 0) return false;
    if (keyword === "$id") return typeof value === "string" && value !== "" && !value.includes("#");
    if (has(schema, "$ref") && this.#dialect === 7 && keyword !== "$ref" && !ANNOTATIONS.has(keyword)) return false;
    if (ANNOTATIONS.has(keyword) && !["$defs", "definitions"].includes(keyword)) {
      if (TEXTS.includes(keyword)) return typeof value === "string";
      if (FLAGS.includes(keyword)) return typeof value === "boolean";
      return keyword !== "examples" || Array.isArray(value);
    }
    if (keyword === "type") {
      const names = typeof value === "string" ? [value] : value;
      return isNames(names) && names.length > 0 && names.every((name) => has(JSON_TYPES, name));
    }
    if (keyword === "enum") return Array.isArray(value) && value.length > 0 && isExact(value);
    if (keyword === "const") return isExact(value);
    if (LIMITS.includes(keyword) || keyword === "multipleOf") {
      return typeof value === "number" && Math.abs(value) <= EXACT && (keyword !== "multipleOf" || value > 0);
    }
    if (COUNTS.includes(keyword)) return isCount(value) && (!keyword.endsWith("Contains") || has(schema, "contains"));
    if (keyword === "pattern") return typeof value === "string" && this.#pattern(value) !== null;
    if (keyword === "required") return isNames(value) && value.every((name) => !name.includes("\0"));
    if (keyword === "uniqueItems") return typeof value === "boolean";
    if (keyword === "$ref") return this.#target(value) !== null;
    if (keyword === "additionalItems") return Array.isArray(schema.items);
    if (ONE_SCHEMA.includes(keyword)) return !["then", "else"].includes(keyword) || has(schema, "if");
    if (keyword === "items") return !Array.isArray(value) || (value.length > 0 && this.#dialect !== 2020);
    if (SCHEMA_LISTS.includes(keyword)) return Array.isArray(value) && value.length > 0;
    const isNeeds = ["dependencies", "dependentRequired"].includes(keyword);
    if (!SCHEMAS_BY_NAME.includes(keyword) && !isNeeds) return false;
    if (!isObject(value) || Object.keys(value).some((name) => name.includes("\0"))) return false;
    if (keyword === "patternProperties") return Object.keys(value).every((name) => this.#pattern(name) !== null);
    const lists = Object.values(value).filter((each) => Array.isArray(each) || keyword === "dependentRequired");
    return !isNeeds || lists.every(isNames);
  }

  /** Whether no reference comes back to the value that it began at. */
  #ends() {
    const open = new Set();
    const done = new Set();
    const visit = (schema) => {
      if (!isObject(schema) || done.has(schema)) return true;
      if (open.has(schema)) return false;
      open.add(schema);
      const targets = [...inside(schema)].filter(([word]) => AT_THE_SAME_VALUE.includes(word)).map(([, inner]) => inner);
      if (has(schema, "$ref")) targets.push(this.#target(schema.$ref));
      const good = targets.every(visit);
      open.delete(schema);
      done.add(schema);
      return good;
    };
    const everywhere = (schema) =>
      !isObject(schema) || (visit(schema) && [...inside(schema)].every(([, inner]) => everywhere(inner)));
    return everywhere(this.#root);
  }

  /** Returns the schema that a `$ref` leads to; null where there is none. */
  #target(reference) {
    // Percent signs are decoded by Ensign; no generator writes them.
    if (typeof reference !== "string" || !/^#(?:\/[^]*)?$/.test(reference) || reference.includes("%")) return null;
    let found = this.#root;
    let keyword = null;
    for (const part of reference.split("/").slice(1).map((each) => each.replaceAll("~1", "/").replaceAll("~0", "~"))) {
      if (keyword === null) {
        if (!has(found, part)) return null;
        found = found[part];
        if (ONE_SCHEMA.includes(part) || (part === "items" && !Array.isArray(found))) continue;
        if (!SCHEMA_LISTS.includes(part) && !SCHEMAS_BY_NAME.includes(part) && !["items", "dependencies"].includes(part)) {
          return null;
        }
        keyword = part;
        continue;
      }
      const isIndex = Array.isArray(found) && /^(?:0|[1-9][0-9]{0,8})$/.test(part) && Number(part) < found.length;
      if (!isIndex && !has(found, part)) return null;
      found = found[part];
      keyword = null;
    }
    return keyword === null && (isObject(found) || typeof found === "boolean") ? found : null;
  }

  #pattern(text) {
    if (!this.#patterns.has(text)) {
      let pattern = null;
      try {
        pattern = new Pattern(text);
      } catch (problem) {
        if (!(problem instanceof SyntaxError || problem instanceof RangeError)) throw problem;
      }
      this.#patterns.set(text, pattern);
    }
    return this.#patterns.get(text);
  }

  // Values. Of several answers one false decides, then one null.

  #spend(units = 1) {
    this.#budget -= units;
    if (this.#budget < 0) throw new TooMuch();
  }

  #judge(schema, value) {
    this.#spend();
    if (typeof schema === "boolean") return schema;
    if (!isObject(schema)) return null;
    return all(Object.entries(schema), ([keyword, limit]) => this.#word(schema, keyword, limit, value));
  }

  #word(schema, keyword, limit, value) {
    if (ANNOTATIONS.has(keyword) || isOwn(keyword)) return true;
    if (!this.#isSound && !this.#fits(schema, keyword, limit, 0)) return null;
    this.#spend();
    if (keyword === "type") return (typeof limit === "string" ? [limit] : limit).some((name) => JSON_TYPES[name](value));
    if (keyword === "enum" || keyword === "const") {
      const allowed = keyword === "enum" ? limit : [limit];
      this.#spend(allowed.length);
      const wanted = keyOf(value);
      return allowed.some((each) => keyOf(each) === wanted);
    }
    if (keyword === "$ref") return this.#judge(this.#target(limit), value);
    if (["allOf", "anyOf", "oneOf", "not", "if"].includes(keyword)) return this.#logic(schema, keyword, limit, value);
    // Judged with what they belong to.
    if (["then", "else", "additionalItems", "minContains", "maxContains"].includes(keyword)) return true;
    if (Array.isArray(value)) return this.#array(schema, keyword, limit, value);
    if (isObject(value)) return this.#object(schema, keyword, limit, value);
    if (typeof value === "string") return this.#text(keyword, limit, value);
    return typeof value === "number" ? holdsNumber(keyword, limit, value) : true;
  }

  #logic(schema, keyword, limit, value) {
    if (keyword === "allOf") return all(limit, (each) => this.#judge(each, value));
    if (keyword === "not") {
      const answer = this.#judge(limit, value);
      return answer === null ? null : !answer;
    }
    if (keyword === "if") {
      const [then, otherwise] = ["then", "else"].map((name) => this.#judge(has(schema, name) ? schema[name] : true, value));
      const answer = this.#judge(limit, value);
      if (answer === null) return then === otherwise ? then : null;
      return answer ? then : otherwise;
    }
    const answers = limit.map((each) => this.#judge(each, value));
    const sure = answers.filter((each) => each === true).length;
    if (keyword === "anyOf") return sure > 0 ? true : answers.includes(null) ? null : false;
    if (sure > 1) return false;
    return answers.includes(null) ? null : sure === 1;
  }

  #text(keyword, limit, value) {
    if (keyword === "maxLength") return [...value].length <= limit;
    if (keyword === "minLength") return [...value].length >= limit;
    return keyword === "pattern" ? this.#matches(limit, value) : true;
  }

  #matches(pattern, text) {
    const found = this.#pattern(pattern);
    if (found === null) return null;
    const { answer, cost } = found.search(text);
    this.#spend(cost);
    return answer;
  }

  #array(schema, keyword, limit, value) {
    if (keyword === "maxItems") return value.length <= limit;
    if (keyword === "minItems") return value.length >= limit;
    if (keyword === "uniqueItems") {
      this.#spend(value.length);
      return !limit || new Set(value.map(keyOf)).size === value.length;
    }
    if (keyword === "contains") {
      const answers = value.map((each) => this.#judge(limit, each));
      const least = has(schema, "minContains") ? schema.minContains : 1;
      const most = has(schema, "maxContains") ? schema.maxContains : value.length;
      if (!isCount(least) || !isCount(most)) return null;
      const sure = answers.filter((each) => each === true).length;
      const perhaps = answers.filter((each) => each === null).length;
      if (sure > most || sure + perhaps < least) return false;
      return sure >= least && sure + perhaps <= most ? true : null;
    }
    if (keyword === "prefixItems" || (keyword === "items" && Array.isArray(limit))) {
      const rest = keyword === "items" && has(schema, "additionalItems") ? schema.additionalItems : true;
      return all([...value.entries()], ([at, each]) => this.#judge(at < limit.length ? limit[at] : rest, each));
    }
    if (keyword === "items") {
      const behind = Array.isArray(schema.prefixItems) ? schema.prefixItems.length : 0;
      return all(value.slice(behind), (each) => this.#judge(limit, each));
    }
    return true;
  }

  #object(schema, keyword, limit, value) {
    const names = Object.keys(value);
    if (keyword === "maxProperties") return names.length <= limit;
    if (keyword === "minProperties") return names.length >= limit;
    if (keyword === "required") return limit.every((name) => has(value, name));
    if (keyword === "properties") {
      const there = Object.keys(limit).filter((name) => has(value, name));
      return all(there, (name) => this.#judge(limit[name], value[name]));
    }
    if (keyword === "propertyNames") return all(names, (name) => this.#judge(limit, name));
    if (keyword === "patternProperties") {
      const pairs = Object.keys(limit).flatMap((pattern) => names.map((name) => [pattern, name]));
      return all(pairs, ([pattern, name]) => {
        const matches = this.#matches(pattern, name);
        const answer = this.#judge(limit[pattern], value[name]);
        return matches === false ? true : answer || matches ? answer : null;
      });
    }
    if (keyword === "additionalProperties") return all(names, (name) => this.#additional(schema, limit, name, value[name]));
    if (["dependencies", "dependentRequired", "dependentSchemas"].includes(keyword)) {
      const there = Object.keys(limit).filter((name) => has(value, name));
      return all(there, (name) =>
        Array.isArray(limit[name]) ? limit[name].every((other) => has(value, other)) : this.#judge(limit[name], value),
      );
    }
    return true;
  }

  #additional(schema, limit, name, member) {
    if (has(schema.properties, name)) return true;
    const matches = Object.keys(schema.patternProperties ?? {}).map((pattern) => this.#matches(pattern, name));
    if (matches.includes(true)) return true;
    const answer = this.#judge(limit, member);
    return matches.includes(null) && answer !== true ? null : answer;
  }
}

/** What `work` answers; null where it takes too long. */
function orNull(work) {
  try {
    return work();
  } catch (problem) {
    if (problem instanceof TooMuch || problem instanceof RangeError) return null;
    throw problem;
  }
}

function all(values, judge) {
  let found = true;
  for (const value of values) {
    const answer = judge(value);
    if (answer === false) return false;
    if (answer === null) found = null;
  }
  return found;
}

function collect(schema, words, depth) {
  if (depth > MOST_DEPTH) throw new TooMuch();
  if (!isObject(schema)) return;
  for (const keyword of Object.keys(schema)) words.add(keyword);
  if (Array.isArray(schema.items)) words.add("a list in items");
  for (const [, inner] of inside(schema)) collect(inner, words, depth + 1);
}

/** The schemas directly inside of one, with the keyword that they are below. */
function* inside(schema) {
  for (const [keyword, value] of Object.entries(schema)) {
    const isList = Array.isArray(value);
    if (ONE_SCHEMA.includes(keyword) || (keyword === "items" && !isList)) yield [keyword, value];
    else if ((SCHEMA_LISTS.includes(keyword) || keyword === "items") && isList) for (const each of value) yield [keyword, each];
    else if (SCHEMAS_BY_NAME.includes(keyword) && isObject(value)) for (const each of Object.values(value)) yield [keyword, each];
    else if (keyword === "dependencies" && isObject(value)) {
      for (const each of Object.values(value)) if (!Array.isArray(each)) yield [keyword, each];
    }
  }
}

function isExact(value) {
  if (Array.isArray(value)) return value.every(isExact);
  if (isObject(value)) return Object.values(value).every(isExact);
  return typeof value !== "number" || Math.abs(value) < EXACT;
}

function holdsNumber(keyword, limit, value) {
  switch (keyword) {
    case "maximum": return value <= limit;
    case "exclusiveMaximum": return value < limit;
    case "minimum": return value >= limit;
    case "exclusiveMinimum": return value > limit;
    case "multipleOf": {
      // By what is written: 0.3 is a multiple of 0.1.
      const [left, right] = [decimal(value), decimal(limit)];
      const scale = Math.min(left.exponent, right.exponent);
      const whole = (number) => number.digits * 10n ** BigInt(number.exponent - scale);
      return whole(left) % whole(right) === 0n;
    }
    default: return true;
  }
}

function decimal(number) {
  const [, sign, before, after = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(String(number));
  return { digits: BigInt(`${sign}${before}${after}`), exponent: Number(exponent) - after.length };
}

const DIGITS = [[0x30, 0x39]];
const WORDS = [[0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const SPACES = [
  [0x09, 0x0d], [0x20, 0x20], [0xa0, 0xa0], [0x1680, 0x1680], [0x2000, 0x200a], [0x2028, 0x2029], [0x202f, 0x202f],
  [0x205f, 0x205f], [0x3000, 0x3000], [0xfeff, 0xfeff],
];
const LINE_ENDS = [[0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]];
const ESCAPED = new Map([
  ["f", "\f"], ["n", "\n"], ["r", "\r"], ["t", "\t"], ["v", "\v"], ...Array.from("^$\\.*+?()[]{}|/", (each) => [each, each]),
]);

/**
 * A regular expression of ECMAScript, flag `u`, of the parts that all engines read alike: sets, repetitions, groups,
 * alternatives, `^` and `$`. Anything else throws SyntaxError. V8 reads more, and has no bound on time.
 *
 * It searches as the gateway's engine does, by trying, and counts each try. Where that takes long it does not say what it
 * would find: the gateway gives up, too, and refuses then.
 */
class Pattern {
  static #most = 60_000;
  #text;
  #at = 0;
  #size = 0;
  #alternatives;
  #isAnchored;

  constructor(text) {
    this.#text = [...text];
    if (this.#text.length > 500) throw new SyntaxError("a long pattern");
    this.#alternatives = this.#disjunction(0);
    if (this.#at < this.#text.length) throw new SyntaxError("a ) without a (");
    this.#isAnchored = this.#alternatives.every((each) => each[0]?.kind === "start");
  }

  #take(wanted) {
    if (this.#text[this.#at] !== wanted) return false;
    this.#at += 1;
    return true;
  }

  #disjunction(depth) {
    if (depth > 10) throw new SyntaxError("deep groups");
    const alternatives = [this.#alternative(depth)];
    while (this.#take("|")) alternatives.push(this.#alternative(depth));
    return alternatives;
  }

  #alternative(depth) {
    const parts = [];
    while (this.#at < this.#text.length && !"|)".includes(this.#text[this.#at])) {
      if (this.#take("^")) parts.push({ kind: "start", least: 1, most: 1 });
      else if (this.#take("$")) parts.push({ kind: "end", least: 1, most: 1 });
      else {
        const before = this.#size;
        const part = { ...this.#atom(depth), ...this.#repetition() };
        // What the gateway's engine compiles it to must stay small.
        if (part.kind === "group") {
          this.#size = before + (this.#size - before) * (part.most === Infinity ? part.least + 1 : Math.max(1, part.most));
        }
        if (this.#size > 30_000) throw new SyntaxError("a large pattern");
        parts.push(part);
      }
    }
    return parts;
  }

  #atom(depth) {
    this.#size += 10;
    if (this.#take("(")) {
      if (this.#take("?") && !this.#take(":")) throw new SyntaxError("a group of another kind");
      const inside = this.#disjunction(depth + 1);
      if (!this.#take(")")) throw new SyntaxError("a ( without a )");
      return { kind: "group", value: inside };
    }
    if (this.#take("[")) {
      this.#size += 200;
      return { kind: "set", value: this.#class() };
    }
    if (this.#take(".")) {
      this.#size += 60;
      return { kind: "set", value: { negated: true, ranges: LINE_ENDS } };
    }
    if (this.#take("\\")) return { kind: "set", value: this.#escape(false) };
    const character = this.#text[this.#at];
    if ("*+?{}]".includes(character)) throw new SyntaxError("nothing to repeat, or a character to be escaped");
    this.#at += 1;
    const code = character.codePointAt(0);
    return { kind: "set", value: { negated: false, ranges: [[code, code]] } };
  }

  #escape(inClass) {
    if (this.#at >= this.#text.length) throw new SyntaxError("a \\ at the end");
    const letter = this.#text[this.#at];
    this.#at += 1;
    const named = { d: DIGITS, w: WORDS, s: SPACES, D: DIGITS, W: WORDS, S: SPACES }[letter];
    if (named) {
      this.#size += 100;
      return { negated: "DWS".includes(letter), ranges: named };
    }
    if (!ESCAPED.has(letter) && !(inClass && letter === "-")) throw new SyntaxError("another escape");
    const code = (ESCAPED.get(letter) ?? letter).codePointAt(0);
    return { negated: false, ranges: [[code, code]] };
  }

  #class() {
    const negated = this.#take("^");
    const ranges = [];
    while (!this.#take("]")) {
      let first = this.#member();
      if (this.#text[this.#at] === "-" && this.#text[this.#at + 1] !== "]") {
        this.#at += 1;
        const last = this.#member();
        const isOne = (set) => set.length === 1 && set[0][0] === set[0][1];
        if (!isOne(first) || !isOne(last)) throw new SyntaxError("a range of sets");
        if (last[0][0] < first[0][0]) throw new SyntaxError("a range that is out of order");
        first = [[first[0][0], last[0][0]]];
      }
      ranges.push(...first);
    }
    return { negated, ranges };
  }

  #member() {
    if (this.#at >= this.#text.length) throw new SyntaxError("a [ without a ]");
    if (this.#take("\\")) {
      const { negated, ranges } = this.#escape(true);
      if (negated) throw new SyntaxError("the opposite of a set within a set");
      return ranges;
    }
    const code = this.#text[this.#at].codePointAt(0);
    this.#at += 1;
    return [[code, code]];
  }

  #repetition() {
    let [least, most] = [1, 1];
    if (this.#take("*")) [least, most] = [0, Infinity];
    else if (this.#take("+")) most = Infinity;
    else if (this.#take("?")) least = 0;
    else if (this.#take("{")) {
      const rest = this.#text.slice(this.#at, this.#at + 11).join("");
      const bounds = /^([0-9]{1,4})(?:(,)([0-9]{1,4})?)?\}/.exec(rest);
      if (!bounds) throw new SyntaxError("no repetition");
      this.#at += bounds[0].length;
      least = Number(bounds[1]);
      most = !bounds[2] ? least : bounds[3] ? Number(bounds[3]) : Infinity;
      if (most < least) throw new SyntaxError("a repetition that is out of order");
    } else return { least, most };
    this.#take("?"); // Which one is tried first makes no difference to whether there is one.
    return { least, most };
  }

  /** Returns whether it matches anywhere, null where that takes too long; and what it has cost. */
  search(text) {
    const codes = Array.from(text, (each) => each.codePointAt(0));
    const unit = 1 + Math.floor(Buffer.byteLength(text, "utf8") / 32);
    let spent = 0;
    const spend = (depth) => {
      spent += unit;
      if (spent > Pattern.#most || depth > 180) throw new TooMuch();
    };
    const run = (parts, start, from, depth, then) => {
      let [index, at] = [start, from];
      for (;;) {
        spend(depth);
        if (index === parts.length) return then(at, depth);
        const { kind: part, value, least, most } = parts[index];
        // What leaves no choice goes on here.
        if (part === "start") {
          if (at > 0) return false;
        } else if (part === "end") {
          if (at < codes.length) return false;
        } else if (part === "set" && least === 1 && most === 1) {
          if (at === codes.length || !isIn(codes[at], value)) return false;
          at += 1;
        } else break;
        index += 1;
      }
      const { kind: part, value, least, most } = parts[index];
      if (part === "set") {
        let end = at;
        while (end < codes.length && end - at < most && isIn(codes[end], value)) end += 1;
        for (let place = end; place >= at + least; place -= 1) if (run(parts, index + 1, place, depth + 1, then)) return true;
        return false;
      }
      const again = (count, place, level) => {
        const next = (end, below) => (end !== place || count < least) && again(count + 1, end, below);
        spend(level);
        if (count < most && value.some((each) => run(each, 0, place, level + 1, next))) return true;
        return count >= least && run(parts, index + 1, place, level + 1, then);
      };
      return again(0, at, depth);
    };
    const answer = orNull(() => {
      const last = this.#isAnchored ? 0 : codes.length;
      for (let start = 0; start <= last; start += 1) {
        if (this.#alternatives.some((each) => run(each, 0, start, 0, () => true))) return true;
      }
      return false;
    });
    return { answer, cost: spent };
  }
}

function isIn(code, { negated, ranges }) {
  return ranges.some(([first, last]) => first <= code && code <= last) !== negated;
}

// --------------------------------------------------------------------------------------------------------- sessions

/** A schema as model APIs take it: an object. What declares none takes no arguments, and false takes nothing at all. */
function shown(declared) {
  if (declared === null) return { type: "object", properties: {}, additionalProperties: false };
  if (declared === true) return { type: "object" };
  if (declared === false) return { type: "object", not: {} };
  return Object.keys(declared).length ? declared : { type: "object" };
}

/** The day in UTC as text, which sorts as days do. Anything else would compare as it likes, and could let a call through. */
function dayOf(today) {
  const text = today instanceof Date && !Number.isNaN(today.getTime()) ? today.toISOString().slice(0, 10) : today;
  const isDay = typeof text === "string" && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text));
  if (!isDay) throw new InvalidArgument("`today` is a Date, or a day in UTC such as '2027-06-30'");
  return text;
}

/** One operation of a tool that the agent was granted. */
class Operation {
  #schema;

  constructor(fields, tool, name, toolDescription) {
    this.tool = tool;
    this.name = name;
    this.access = fields.text("access");
    this.risk = fields.text("risk");
    this.approval = fields.text("approval");
    this.declaredInput = fields.schema("input");
    this.input = shown(this.declaredInput);
    this.output = fields.optionalSchema("output");
    this.timeout = fields.optionalDuration("timeout");
    this.idempotent = fields.optionalBoolean("idempotent");
    this.expires = fields.optionalDate("expires");
    this.description = fields.optionalText("description") ?? toolDescription;
    this.serverTool = fields.object("mcp", false).optionalText("tool") || name;
    this.schemaName = modelName(tool, name);
    this.conditions = ["after", "rate"].filter((each) => (fields.value[each] ?? null) !== null);
    freeze(this);
  }

  /** Says whether a call with these arguments is allowed; see `Session.decide`. */
  decide(args, { today } = {}) {
    const name = `${this.tool}.${this.name}`;
    const answer = (verdict, reason, text) => ({ verdict, operation: this, reason, text });
    if (this.expired(today)) return answer("refused", "expired", `refused: ${name} was granted until ${this.expires}`);
    let fits;
    let why;
    try {
      if (!isPlainObject(args)) throw new NotJSON("arguments that are not an object");
      const value = plain(args, { left: MOST_NODES });
      this.#schema ??= new Schema(this.declaredInput === null ? this.input : this.declaredInput);
      fits = this.#schema.holds(value);
      if (fits === false) why = this.#schema.culprit(value);
    } catch (problem) {
      if (problem instanceof NotJSON) [fits, why] = [false, `it has ${problem.message}`];
      else if (problem instanceof TooMuch || problem instanceof RangeError) fits = null;
      else throw problem;
    }
    if (fits === false) {
      const what = this.declaredInput === null ? "it takes no arguments" : why;
      return answer("refused", "arguments", `refused: ${name}: ${what}. Nothing was done.`);
    }
    if (fits === null) {
      const text = `${name}: whether its schema allows these arguments cannot be said here; the gateway can`;
      return answer("unknown", "schema", text);
    }
    if (this.conditions.length) {
      const [condition] = this.conditions;
      const text = `${name} has the condition '${condition}', which only the gateway can hold: it counts calls`;
      return answer("unknown", condition, text);
    }
    if (this.needsApproval) return answer("needs-approval", null, `${name} needs approval: ${this.approval}`);
    return answer("allowed", null, `${name} is allowed`);
  }

  /** Whether someone must agree to each call. True for an approval that this client does not know. */
  get needsApproval() {
    return this.approval !== "none";
  }

  /** Whether its last day is over; `today` is the present day in UTC by default: a Date, or text such as `2027-06-30`. */
  expired(today = new Date()) {
    const day = dayOf(today);
    return this.expires !== null && day > this.expires;
  }
}

const active = new AsyncLocalStorage();
/** The most sessions around the innermost one that are remembered: what starts the next one inside of itself has no end. */
const MOST_AROUND = 16;

/** What code inside of a session's `within` or `run` finds: the session, its run, and the sessions around it. */
function entered(session, run) {
  const around = active.getStore();
  const outer = around ? [around.session, ...around.outer].filter((each) => each !== session) : [];
  return { session, run, outer: outer.slice(0, MOST_AROUND) };
}

/** Returns the session whose `session.within` or `session.run` this code is in, or undefined. */
export function currentSession() {
  return active.getStore()?.session;
}

/** What one session of an agent runs with. Made by `Fleet.session`; never changes. */
export class Session {
  #instructions;
  #live;
  #proofs;
  #model;
  #names;
  #warn;
  #said = new Set();

  constructor(data, route, choice, key, number, live, proofs, warn) {
    const where = `bundle ${choice.digest}`;
    const bundle = decode(data, where, CorruptBundle);
    const fields = new Fields(bundle, where, CorruptBundle);
    // The digest proves the bytes; this proves that the route names the right ones.
    const named = { agent: route.agent, environment: route.environment, version: choice.version };
    for (const [name, expected] of Object.entries(named)) {
      if (fields.text(name) !== expected) {
        fields.fail(name, `is '${fields.text(name)}', and the route says '${expected}'`);
      }
    }
    const limits = fields.object("limits", false);
    Object.assign(this, named, {
      digest: choice.digest,
      phase: route.phase,
      bucket: number,
      artifact: fields.text("artifact"),
      owner: fields.text("owner"),
      identity: fields.text("identity"),
      description: fields.optionalText("description"),
      labels: fields.object("labels", false).texts(),
      alias: fields.optionalText("name"),
      prompts: fields.object("prompts", false).texts(),
      triggers: fields.objects("triggers", false).map((trigger) => trigger.value),
      contract: fields.object("contract", false).value,
      tools: fields.objects("tools").map(parseTool),
      delegates: fields.textList("delegates"),
      autonomy: fields.text("autonomy"),
      limits: {
        steps: limits.optionalInteger("steps"),
        tokens: limits.optionalInteger("tokens"),
        costUSD: limits.optionalNumber("costUSD"),
        seconds: limits.optionalNumber("seconds"),
        costUSDPerDay: limits.optionalNumber("costUSDPerDay"),
      },
      runtime: fields.object("runtime", false).value,
      bundle,
    });
    // Present, and null where there is none: a bundle without them is damaged.
    this.#model = fields.isPresent("model") ? parseModel(fields.object("model")) : null;
    this.#instructions = fields.isPresent("instructions") ? fields.text("instructions") : null;
    // Not shown when a session is printed: it may name a customer.
    Object.defineProperty(this, "key", { value: key });
    this.#live = live;
    this.#proofs = proofs;
    this.#warn = warn;
    Object.freeze(this);
  }

  /** Whether the agent has a model of its own. One whose `runtime` names an image or a graph need not. */
  get hasModel() {
    return this.#model !== null;
  }

  /** The model it runs on. Throws NotDeclared if it has none of its own. */
  get model() {
    if (this.#model) return this.#model;
    const who = `agent ${this.agent} ${this.version}`;
    throw new NotDeclared(`${who} has no model of its own: its runtime says what it runs on`);
  }

  /** The full text of its prompt. Throws NotDeclared if it has none, or only `prompts` by name. */
  get instructions() {
    if (this.#instructions !== null) return this.#instructions;
    const names = Object.keys(this.prompts);
    const found = names.length ? `its prompts are ${names.join(", ")}` : "it has no prompts either";
    throw new NotDeclared(`agent ${this.agent} ${this.version} has no instructions: ${found}`);
  }

  /** Returns the operation if the agent may call it today, else null. Everything not granted is refused. */
  allowed(tool, operation, { today } = {}) {
    const found = this.tools.find((each) => each.name === tool)?.operations.get(operation);
    return found && !found.expired(today) ? found : null;
  }

  /**
   * Returns the allowed operation that a model, a framework or an MCP server means by a name, else null. A name that can
   * mean several granted operations means none: `candidates` returns them.
   */
  resolve(name, { today } = {}) {
    const found = this.candidates(name);
    return found.length === 1 && !found[0].expired(today) ? found[0] : null;
  }

  /**
   * Says whether a call by a name, with these arguments, is allowed: held against the bundle before anything is done.
   *
   * `unknown` means that only the gateway can say: it is never `allowed` here and refused there, by what a bundle says of one
   * call. It has no counts, and no halts since: call `raiseIfHalted` too.
   */
  decide(name, args, { today } = {}) {
    const found = this.candidates(name);
    if (found.length === 1) return found[0].decide(args, { today });
    const text = `refused: ${this.agent} is not granted ${JSON.stringify(String(name).slice(0, 128))}`;
    return { verdict: "refused", operation: null, reason: "not-granted", text };
  }

  /** `observe` where the gateway lets through, and logs, what it would refuse; else `enforce`. */
  get mode() {
    return String(this.bundle.mode ?? "enforce");
  }

  /** Returns every granted operation that a name can mean, expired or not: none, the one, or all of several. */
  candidates(name) {
    this.#names ??= new Names(this.tools.flatMap((tool) => [...tool.operations.values()]));
    return this.#names.find(name);
  }

  /** Returns what model APIs want to know about tools; only operations that may be called today. Yours to change. */
  toolSchemas({ today } = {}) {
    return this.tools
      .flatMap((tool) => [...tool.operations.values()])
      .filter((operation) => !operation.expired(today))
      .map((operation) => ({
        name: operation.schemaName,
        ...(operation.description ? { description: operation.description } : {}),
        input_schema: structuredClone(operation.input),
      }));
  }

  /** Whether the agent may call a tool today: a name, or anything that `toolsFor` takes; `of` as there. */
  allows(tool, { of, today } = {}) {
    const found = this.#operationsOf(toolName(tool), of);
    return found.length === 1 && !found[0].expired(today);
  }

  /**
   * Returns those of a program's tools that the agent may call today: an array for an array, an object by name for an
   * object by name. Each is known by its name, as `resolve` understands it; what has none is left out. Names that were
   * left out are in `dropped`, what was granted and is not there in `missing`; both are also said once as a warning.
   *
   * `of` names the tool whose server the tools come from: say it where two tools have operations of one name.
   */
  toolsFor(tools, { of, today } = {}) {
    const dropped = [];
    const found = new Set();
    const unclear = [];
    const isGranted = (name) => {
      const means = this.#operationsOf(name, of);
      const granted = means.length === 1 && !means[0].expired(today);
      if (granted) found.add(means[0]);
      else dropped.push(name);
      if (means.length > 1) unclear.push(name);
      return granted;
    };
    const kept =
      typeof tools?.[Symbol.iterator] === "function"
        ? [...tools].flatMap((tool) => {
            const group = GROUPS.find((member) => Array.isArray(tool?.[member]));
            if (!group) return isGranted(toolName(tool)) ? [tool] : [];
            const granted = tool[group].filter((member) => isGranted(toolName(member)));
            return granted.length ? [{ ...tool, [group]: granted }] : [];
          })
        : Object.fromEntries(Object.entries(tools).filter(([name]) => isGranted(name)));
    const missing = this.tools
      .filter((tool) => of === undefined || tool.name === of)
      .flatMap((tool) => [...tool.operations.values()])
      .filter((operation) => !found.has(operation) && !operation.expired(today))
      .map((operation) => `${operation.tool}.${operation.name}`);
    this.#sayOnce(dropped, unclear, missing);
    return { tools: kept, dropped, missing };
  }

  /** Every granted operation that a framework's tool can be, expired or not. */
  #operationsOf(name, of) {
    const exact = this.tools.find((tool) => tool.name === of)?.operations.get(name);
    return exact ? [exact] : this.candidates(name).filter((operation) => of === undefined || operation.tool === of);
  }

  #sayOnce(dropped, unclear, missing) {
    const said = JSON.stringify([dropped, missing]);
    if (!(dropped.length || missing.length) || this.#said.has(said) || this.#said.size >= 16) return;
    this.#said.add(said);
    const listed = (names) =>
      names.slice(0, 20).map((name) => JSON.stringify(name.slice(0, 128))).join(", ") +
      (names.length > 20 ? ` and ${names.length - 20} more` : "");
    const parts = [
      ...(dropped.length ? [`left out: ${listed(dropped)}`] : []),
      ...(unclear.length ? [`of these, several operations can be meant by ${listed(unclear)}: say { of: TOOL }`] : []),
      ...(missing.length ? [`granted, and no tool has the name: ${listed(missing)}`] : []),
    ];
    this.#warn(`ensign: tools of ${this.agent} ${this.version}: ${parts.join("; ")}`);
  }

  /** Says in words which limit of a run is exceeded by such use, or returns null. */
  exceeded({ steps = 0, tokens = 0, costUSD = 0, seconds = 0 } = {}) {
    const uses = { steps, tokens, USD: costUSD, seconds };
    for (const [unit, used] of Object.entries(uses)) {
      const limit = unit === "USD" ? this.limits.costUSD : this.limits[unit];
      if (limit !== null && used > limit) return `${used} ${unit}, the limit is ${limit}`;
    }
    return null;
  }

  /** Returns the OpenTelemetry attributes that let Ensign count a span for the version that made it. */
  telemetryAttributes() {
    return {
      "gen_ai.agent.id": this.identity,
      "gen_ai.agent.name": this.agent,
      "gen_ai.agent.version": this.version,
      ...(this.#model ? { "gen_ai.provider.name": this.#model.provider, "gen_ai.request.model": this.#model.name } : {}),
      "deployment.environment.name": this.environment,
      "ensign.bundle": this.digest,
      // The runs of one session depend on each other, so that a canary counts them once. Not the key itself: it may name
      // a customer.
      "ensign.session": createHash("sha256").update(this.key, "utf8").digest("hex").slice(0, 16),
    };
  }

  /** Makes this the session of what `work` does, also later in its promises; returns what `work` returns. */
  within(work) {
    // What is opened inside of a run is of that run, unless it is another one.
    const around = active.getStore();
    return active.run(entered(this, around?.session === this ? around.run : undefined), work);
  }

  /**
   * Does one run inside of its own span, `invoke_agent`, and of `within`. What `work` throws makes it a failed run, and
   * goes on. `tracer` is OpenTelemetry's, such as `trace.getTracer("agents")`; without one there is no span.
   *
   * `name` names the run, such as a ticket: the gateway's calls belong to it by that name, so give both the same
   * (`gatewayHeaders` of what `work` gets, or `ensign-gateway stdio --run`). Without one it is the trace's id, which the
   * gateway takes where a client passes the trace on. It is on all spans of the run, as `ensign.run`.
   *
   * `work` gets a `Traced`: `fail(why)` where a framework swallows its errors, `usage` where no span inside says it.
   */
  run(work, { tracer, name } = {}) {
    if (name !== undefined) {
      const size = typeof name === "string" ? Buffer.byteLength(name, "utf8") : 0;
      if (size < 1 || size > 256) throw new InvalidArgument("a run's name is a text of 1 to 256 bytes");
    }
    const attributes = { "gen_ai.operation.name": "invoke_agent", ...this.telemetryAttributes() };
    if (name !== undefined) attributes["ensign.run"] = name;
    return active.run(entered(this, name), () => {
      const named = (span) => {
        if (name !== undefined) return;
        const known = attempt(() => span?.spanContext?.().traceId);
        // Without an SDK a span has no id.
        const isKnown = typeof known === "string" && /^(?!0+$)[0-9a-f]{32}$/.test(known);
        const run = isKnown ? known : randomBytes(16).toString("hex");
        active.getStore().run = run;
        span?.setAttribute("ensign.run", run);
      };
      return traced(tracer, `invoke_agent ${this.agent}`, attributes, work, named);
    });
  }

  /**
   * Makes one call inside of a span, `execute_tool`: for what writes none by itself. Inside another span of the same call
   * it counts once. A `PermissionDenied` that `work` throws makes it a denied call, anything else a failed one. The kill
   * switch's `repeatedCall` sees calls with recorded `args` only.
   */
  call(name, args, work, { tracer } = {}) {
    const attributes = {
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": name,
      ...this.telemetryAttributes(),
    };
    const recorded = args === undefined ? undefined : attempt(() => JSON.stringify(args));
    if (recorded !== undefined) attributes["gen_ai.tool.call.arguments"] = recorded;
    const around = active.getStore();
    if (around?.session === this && around.run !== undefined) attributes["ensign.run"] = around.run;
    return this.within(() => traced(tracer, `execute_tool ${name}`, attributes, work));
  }

  /** Throws AgentHalted if the agent was halted, or removed, since the session began. Reads one small file. */
  async raiseIfHalted() {
    let route;
    try {
      route = await readRoute(this.#live, this.agent, this.#proofs);
    } catch (problem) {
      if (!(problem instanceof AgentNotFound)) throw problem;
      const message = `agent ${this.agent} has no route in ${this.environment} any more: stop`;
      throw new AgentHalted(message, { cause: problem });
    }
    if (route.phase === "halted") {
      throw new AgentHalted(`agent ${this.agent} was halted in ${this.environment} during this session: stop`);
    }
  }
}

function parseModel(fields) {
  return {
    provider: fields.text("provider"),
    name: fields.text("name"),
    parameters: fields.object("parameters", false).value,
    fallbacks: fields.objects("fallbacks", false).map(parseModel),
  };
}

function parseTool(fields) {
  const name = fields.text("tool");
  const operations = fields.object("operations");
  const description = fields.optionalText("description");
  const parse = (operation) => [operation, new Operation(operations.object(operation), name, operation, description)];
  return {
    name,
    version: fields.text("version"),
    server: fields.object("server", false).value,
    credentials: fields.object("credentials", false).value,
    store: (fields.value.store ?? null) === null ? null : fields.object("store").value,
    operations: new Map((orders.get(operations.value) ?? Object.keys(operations.value)).map(parse)),
  };
}

// -------------------------------------------------------------------------------------------------------- telemetry

/** A call was not allowed. Throw it inside of `session.call`, and the call counts as denied. */
export class PermissionDenied extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "PermissionDenied";
  }
}

const ERROR = 2; // SpanStatusCode.ERROR of OpenTelemetry's API.

/** What a client of the gateway by HTTP sends. Throws `InvalidArgument` for what the gateway does not take. */
function gatewayHeaders(run, key) {
  const headers = { ...(run === undefined ? {} : { "Ensign-Run": run }), "Ensign-Key": key };
  for (const [name, value] of Object.entries(headers)) {
    if (/^[!-~]{1,256}$/.test(value)) continue;
    const rule = "1 to 256 printable characters of ASCII without blanks";
    throw new InvalidArgument(`${name} is ${rule}: the gateway takes no ${JSON.stringify(value)}`);
  }
  return headers;
}

function traced(tracer, name, attributes, work, named) {
  const run = (span) => {
    named?.(span);
    const { session, run: runName } = active.getStore();
    const given = {
      span,
      run: runName,
      get gatewayHeaders() {
        return gatewayHeaders(runName, session.key);
      },
      fail(reason = "failed") {
        span?.setAttribute("error.type", reason);
        span?.setStatus({ code: ERROR, message: reason });
      },
      usage({ inputTokens, outputTokens }) {
        span?.setAttributes({ "gen_ai.usage.input_tokens": inputTokens, "gen_ai.usage.output_tokens": outputTokens });
      },
    };
    const failed = (problem) => {
      span?.recordException?.(problem);
      given.fail(problem instanceof PermissionDenied ? "permission_denied" : (problem?.name ?? typeof problem));
      span?.end();
      throw problem;
    };
    const done = (answer) => {
      span?.end();
      return answer;
    };
    let answer;
    try {
      answer = work(given);
    } catch (problem) {
      return failed(problem);
    }
    return typeof answer?.then === "function" ? Promise.resolve(answer).then(done, failed) : done(answer);
  };
  return tracer ? tracer.startActiveSpan(name, { attributes }, run) : run(undefined);
}

const STAMPED = [
  "gen_ai.agent.id",
  "gen_ai.agent.name",
  "gen_ai.agent.version",
  "deployment.environment.name",
  "ensign.bundle",
  "ensign.session",
  "ensign.run",
];
const SPAN_KEY = Symbol.for("OpenTelemetry Context Key SPAN"); // Of OpenTelemetry's API, every copy of it.
const BAGGAGE_KEY = Symbol.for("OpenTelemetry Baggage Key");
const stamps = new WeakMap();

/**
 * Lets Ensign count what any framework writes: stamps spans with the session in whose `within` or `run` they start, else
 * with what their parent has. For OpenTelemetry's SDK: `new NodeTracerProvider({ spanProcessors: [new SpanProcessor(), ...] })`.
 *
 * Instrumentations may set their own `gen_ai.agent.name` afterwards: `ensign.bundle` decides for Ensign.
 *
 * `baggage` also believes the `ensign.bundle` in W3C baggage: for a process that gets its work from programs of your own.
 * Whoever sends it a request decides then for which version it counts.
 */
export class SpanProcessor {
  #baggage;

  constructor({ baggage = false } = {}) {
    this.#baggage = baggage;
  }

  onStart(span, parentContext) {
    const given = span.attributes ?? {};
    const parent = attempt(() => parentContext?.getValue?.(SPAN_KEY));
    let stamp;
    if ("ensign.bundle" in given) {
      stamp = Object.fromEntries(STAMPED.filter((name) => name in given).map((name) => [name, given[name]]));
    } else {
      stamp = stampBeside(parent ? stamps.get(parent) : undefined);
      stamp ??= this.#baggage ? attempt(() => carried(parentContext)) : undefined;
      if (!stamp) return;
      span.setAttributes(Object.fromEntries(Object.entries(stamp).filter(([name]) => !(name in given))));
    }
    stamps.set(span, stamp);
  }

  onEnd() {}

  async forceFlush() {}

  async shutdown() {}
}

/**
 * What a span is stamped with, whose parent has a stamp or none.
 *
 * A worker that several sessions share runs in the context of whoever started it: then the parent knows better. But a
 * session inside another one's run has a parent of that one's.
 */
function stampBeside(inherited) {
  const store = active.getStore();
  if (!store || !inherited) return inherited ?? stampOf(store);
  const isAround = [store.session, ...store.outer].some((session) => {
    const own = session.telemetryAttributes();
    return ["ensign.bundle", "ensign.session"].every((name) => own[name] === inherited[name]);
  });
  return isAround ? stampOf(store) : inherited;
}

function stampOf(store) {
  if (!store) return undefined;
  return { ...store.session.telemetryAttributes(), ...(store.run === undefined ? {} : { "ensign.run": store.run }) };
}

function carried(context) {
  const baggage = context?.getValue?.(BAGGAGE_KEY);
  const entry = (name) => baggage?.getEntry(name)?.value;
  const bundle = entry("ensign.bundle");
  if (typeof bundle !== "string" || !DIGEST.test(bundle)) return undefined;
  const session = entry("ensign.session");
  const isText = typeof session === "string" && session.length <= 128;
  return { "ensign.bundle": bundle, ...(isText ? { "ensign.session": session } : {}) };
}

// ---------------------------------------------------------------------------------------------------------- proofs

const PROOF_NAMESPACE = "ensign-live";
const PRINCIPAL = "@ensign.invalid";
const HEADER = "fleet.json";
const HEADER_LIMIT = 64 * 1024;
const KEYS_LIMIT = 1024 * 1024;
const STATE_LIMIT = 64 * 1024 * 1024;
const MOST = 2 ** 40;
const ARMOR = /^-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]+\n)+)-----END SSH SIGNATURE-----\n?$/;
const ED25519 = Buffer.from("302a300506032b6570032100", "hex"); // What a key's 32 bytes stand behind in DER.
const KEY_START = Buffer.from("\0\0\0\x0bssh-ed25519\0\0\0 ", "latin1");

/** Why a file is not proven: in one word, the same in every client, and for people. */
class Refusal extends Error {
  constructor(code, why) {
    super(why);
    this.code = code;
  }
}

function fingerprint(blob) {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

function fromBase64(text) {
  const data = Buffer.from(text, "base64");
  return data.toString("base64").replace(/=+$/, "") === text.replace(/=+$/, "") ? data : null;
}

/**
 * Reads the lines that `ensign keys` prints. A line that cannot be followed refuses all: it may be the one that takes a key
 * away. Those for other namespaces alone, as of keys that were handed over, are left out.
 */
export function parseKeys(text, where = "keys") {
  const keys = [];
  text.split("\n").forEach((line, index) => {
    const refuse = (why) => {
      throw new InvalidKeys(`${where}:${index + 1}: ${why}`);
    };
    let words = line.trim().split(/\s+/);
    if (words[0] === "" || words[0].startsWith("#")) return;
    const names = words[0].split(",");
    words = words.slice(1);
    const options = /^namespaces="([A-Za-z0-9@._,-]+)"$/.exec(words[0] ?? "");
    if (options) {
      if (!options[1].split(",").includes(PROOF_NAMESPACE)) return;
      words = words.slice(1);
    }
    if (words.length < 2 || words[0] !== "ssh-ed25519" || names.some((name) => /[*?!"]/.test(name))) {
      refuse("not a line that `ensign keys` prints");
    }
    const blob = fromBase64(words[1]) ?? refuse("the key is not base64");
    if (blob.length !== 51 || !blob.subarray(0, 19).equals(KEY_START)) refuse("not a key of type ssh-ed25519");
    const environments = names.filter((name) => name.endsWith(PRINCIPAL)).map((name) => name.slice(0, -PRINCIPAL.length));
    const key = createPublicKey({ key: Buffer.concat([ED25519, blob.subarray(19)]), format: "der", type: "spki" });
    keys.push({ blob, fingerprint: fingerprint(blob), environments, key });
  });
  if (!keys.length) {
    throw new InvalidKeys(`${where}: no line allows a key for '${PROOF_NAMESPACE}': take those that \`ensign keys\` prints`);
  }
  return keys;
}

/** RFC 8785 for what is in a route and a header: no number with a fraction is among it, so none is taken. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (isObject(value)) {
    const members = Object.keys(value).sort();
    return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
  }
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new SyntaxError("a number that is not whole");
  return JSON.stringify(value);
}

const file = (value) => Buffer.from(`${canonical(value)}\n`, "utf8");

function without(value, member) {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== member));
}

/** Holds a file, `agents/<team>/<agent>.json` or `fleet.json`, against its proof; throws a Refusal. */
export function prove(data, name, environment, keys) {
  const value = provenValue(data);
  const isHeader = Object.hasOwn(value, "entry");
  const agent = name.startsWith("agents/") ? name.slice("agents/".length, -".json".length) : null;
  if (isHeader !== (name === HEADER) || (agent === null && Object.hasOwn(value, "agent"))) {
    throw new Refusal("file", "another kind of file is in its place");
  }
  if (agent !== null && value.agent !== agent) throw new Refusal("agent", `it is the route of '${value.agent}'`);
  if (value.environment !== environment) {
    throw new Refusal("environment", `it is of the environment '${value.environment}'`);
  }
  if (!Object.hasOwn(value, "proof")) throw new Refusal("unsigned", "it is not signed");
  const { entry, signature: text } = isObject(value.proof) ? value.proof : {};
  if (!Number.isSafeInteger(entry) || entry < 0 || entry > MOST || typeof text !== "string") {
    throw new Refusal("malformed", "its proof cannot be read: `entry` must be a number, `signature` a text");
  }
  const { blob, namespace, algorithm, signature } = parseSignature(text);
  if (namespace !== PROOF_NAMESPACE) {
    throw new Refusal("namespace", `its signature is for '${namespace}', not for '${PROOF_NAMESPACE}'`);
  }
  const key = keys.find((each) => each.blob.equals(blob) && each.environments.includes(environment));
  if (!key) throw new Refusal("key", `it is signed by ${fingerprint(blob)}, which is not among the keys`);
  const message = file({ ...value, proof: without(value.proof, "signature") });
  const parts = [PROOF_NAMESPACE, "", algorithm, createHash(algorithm).update(message).digest()].map((part) => {
    const bytes = Buffer.from(part);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  });
  if (!verify(null, Buffer.concat([Buffer.from("SSHSIG"), ...parts]), key.key, signature)) {
    throw new Refusal("altered", "it is not what was signed");
  }
  return { value: without(value, "proof"), entry, key: key.fingerprint };
}

/** One spelling only: what two readers could read as two values is refused before anybody asks who signed it. */
function provenValue(data) {
  let why = "it is not canonical JSON (RFC 8785) and a line feed";
  try {
    const value = decode(data, "it", EnsignError);
    if (file(value).equals(data)) return value;
  } catch (problem) {
    why = problem.message;
  }
  throw new Refusal("unreadable", `it cannot be read: ${why}`);
}

/** Reads an SSH signature (PROTOCOL.sshsig). */
function parseSignature(text) {
  const refuse = (why) => {
    throw new Refusal("malformed", `its proof cannot be read: ${why}`);
  };
  const armor = ARMOR.exec(text) ?? refuse("it is not an SSH signature");
  const data = fromBase64(armor[1].replaceAll("\n", "")) ?? refuse("it is not valid base64");
  if (!data.subarray(0, 10).equals(Buffer.from("SSHSIG\0\0\0\x01", "latin1"))) {
    refuse("it is not an SSH signature of version 1");
  }
  const strings = (bytes) => {
    const found = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + 4 <= bytes.length ? at + 4 + bytes.readUInt32BE(at) : Infinity;
      if (end > bytes.length) refuse("it ends too early");
      found.push(bytes.subarray(at + 4, end));
      at = end;
    }
    return found;
  };
  const [blob, namespace, reserved, hash, inner, ...rest] = strings(data.subarray(10));
  const algorithm = hash?.toString("latin1");
  if (!inner || rest.length || reserved.length || !["sha256", "sha512"].includes(algorithm)) {
    refuse("it is not a signature that Ensign makes");
  }
  const [type, signature, ...more] = strings(inner);
  if (more.length || type?.toString("latin1") !== "ssh-ed25519" || signature?.length !== 64) {
    refuse("it is not a signature by a key of type ssh-ed25519");
  }
  return { blob, namespace: namespace.toString("utf8"), algorithm, signature };
}

/** Milliseconds: how long a process waits for another one's lock, and after how long one that nobody took away is taken over. */
const LOCK_WAIT = 10_000;
const LOCK_STALE = 5_000;

/** Does what no other process or thread may do with the file at the same time: reading it, and writing it with one thing more. */
function locked(state, work) {
  const lock = `${state}.writing`;
  const failed = (problem) => new FleetUnavailable(`cannot write ${state}: ${problem.message}`, { cause: problem });
  const end = Date.now() + LOCK_WAIT;
  for (;;) {
    try {
      closeSync(openSync(lock, "wx"));
      break;
    } catch (problem) {
      // Windows refuses while the file before it is being removed.
      if (!["EEXIST", "EPERM"].includes(problem.code) || Date.now() > end) throw failed(problem);
      const age = Date.now() - (attempt(() => statSync(lock).mtimeMs) ?? Infinity);
      if (age > LOCK_STALE) attempt(() => takeAway(lock));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
  try {
    return work();
  } finally {
    attempt(() => unlinkSync(lock));
  }
}

/** Removes the lock of a process that ended in the middle; not one that was taken meanwhile. */
function takeAway(lock) {
  const away = `${lock}.${randomBytes(8).toString("hex")}`;
  renameSync(lock, away);
  if (Date.now() - statSync(away).mtimeMs <= LOCK_STALE) attempt(() => linkSync(away, lock));
  unlinkSync(away);
}

/**
 * What of a live directory is proven, with the keys that it is given and what was seen before.
 *
 * Proven once, a file is known until its bytes change. The newest entry of each file is remembered, in memory and, if a path
 * is given, there: an older file that was signed is refused. The keys are read again when their file changes.
 */
class Proofs {
  #given;
  #wanted;
  #state;
  #maxAge;
  #stamp = "";
  #keys = [];
  #environment = "";
  #known = new Map();
  #seen = new Map();

  constructor(keys, { environment, state, maxAge }) {
    this.#given = keys;
    this.#wanted = environment;
    this.#state = state;
    this.#maxAge = maxAge;
    this.#loadKeys();
    this.#loadSeen();
  }

  #loadKeys() {
    let text = this.#given;
    let stamp = "text";
    let where = "keys";
    if (typeof text !== "string") throw new InvalidKeys("keys are the lines of `ensign keys`, or the path of a file with them");
    if (!text.includes("ssh-ed25519")) {
      where = text;
      try {
        const status = statSync(where, { bigint: true });
        stamp = `${status.mtimeNs} ${status.size} ${status.ino}`;
        if (stamp === this.#stamp) return;
        if (status.size > KEYS_LIMIT) throw new Error(`it is larger than ${KEYS_LIMIT} bytes`);
        text = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(where));
      } catch (problem) {
        throw new InvalidKeys(`cannot read ${where}: ${problem.message}`, { cause: problem });
      }
    }
    if (stamp === this.#stamp) return;
    this.#stamp = ""; // What follows may fail: then it is tried again.
    const keys = parseKeys(text, where);
    const names = [...new Set(keys.flatMap((key) => key.environments))];
    const environment = this.#wanted ?? (names.length === 1 ? names[0] : undefined);
    if (environment === undefined) {
      throw new InvalidKeys(`${where}: keys of several environments: say which one with \`environment\``);
    }
    this.#keys = keys.filter((key) => key.environments.includes(environment));
    if (!this.#keys.length) throw new InvalidKeys(`${where}: no key of the environment '${environment}'`);
    this.#environment = environment;
    this.#known = new Map();
    this.#stamp = stamp;
  }

  /** Returns what is proven of a file, and remembers it. */
  #prove(data, name) {
    this.#loadKeys();
    const known = this.#known.get(name);
    const proven = known?.data.equals(data) ? known.proven : prove(data, name, this.#environment, this.#keys);
    this.#known.set(name, { data, proven });
    this.#admit(proven, name);
    return proven;
  }

  #counts(seen) {
    return seen !== undefined && this.#keys.some((key) => key.fingerprint === seen.key);
  }

  #admit({ entry, key }, name) {
    const before = this.#seen.get(name);
    if (before?.entry === entry && before.key === key) return;
    const refuse = (newest) => {
      throw new Refusal("older", `it is of entry ${entry}, and one of entry ${newest} was there before`);
    };
    if (this.#counts(before) && (entry < before.entry || (entry === before.entry && name !== HEADER))) {
      refuse(before.entry);
    }
    if (this.#state !== undefined) {
      // What other processes have seen meanwhile counts too.
      locked(this.#state, () => {
        this.#loadSeen();
        const newest = this.#seen.get(name);
        if (this.#counts(newest) && newest.entry > entry) refuse(newest.entry);
        this.#keep(new Map(this.#seen).set(name, { entry, key }));
      });
    }
    this.#seen.set(name, { entry, key });
  }

  #loadSeen() {
    if (this.#state === undefined) return;
    let data;
    try {
      data = readFileSync(this.#state);
    } catch (problem) {
      if (problem.code === "ENOENT") return;
      throw new FleetUnavailable(`cannot read ${this.#state}: ${problem.message}`, { cause: problem });
    }
    if (data.length > STATE_LIMIT) throw new FleetUnavailable(`${this.#state} is larger than ${STATE_LIMIT} bytes`);
    const fields = new Fields(decode(data, this.#state, FleetUnavailable), this.#state, FleetUnavailable);
    if (fields.integer("v") !== 1) fields.fail("v", "is not 1: another version wrote it");
    const seen = fields.object("seen");
    for (const name of Object.keys(seen.value)) {
      const one = seen.object(name);
      const found = { entry: one.integer("entry"), key: one.text("key") };
      const before = this.#seen.get(name);
      if (!this.#counts(before) || found.entry >= before.entry) this.#seen.set(name, found);
    }
  }

  #keep(seen) {
    const temporary = `${this.#state}.${randomBytes(8).toString("hex")}`;
    try {
      writeFileSync(temporary, file({ v: 1, seen: Object.fromEntries(seen) }), { flush: true });
      renameSync(temporary, this.#state);
    } catch (problem) {
      throw new FleetUnavailable(`cannot write ${this.#state}: ${problem.message}`, { cause: problem });
    }
  }

  #unproven(live, name, problem) {
    if (!(problem instanceof Refusal)) return problem;
    return new Unproven(
      `${path.join(live, name)} is not to be believed: ${problem.message} ` +
        "(`ensign drift` shows it, `ensign reconcile` repairs it)",
    );
  }

  /** Returns a route that may be used. A halted one needs no proof, and with one it takes back what was before. */
  route(data, route, live) {
    const name = `agents/${route.agent}.json`;
    try {
      this.#prove(data, name);
    } catch (problem) {
      if (route.phase !== "halted" || !(problem instanceof Refusal)) throw this.#unproven(live, name, problem);
    }
    return route;
  }

  /**
   * Rejects unless the header is proven, not older than one that was seen, and of a host that was heard lately.
   *
   * Whoever follows a ledger writes a header without a proof, as nobody but the host can. That one is taken where no age is
   * asked for and no proven one was ever seen.
   */
  async header(live) {
    const where = path.join(live, HEADER);
    const data = await read(where, HEADER_LIMIT, CorruptRoute);
    if (!data) throw new FleetUnavailable(`no fleet in ${live}: it has no fleet.json (is the path right, and was it reconciled?)`);
    let proven;
    try {
      proven = this.#prove(data, HEADER);
    } catch (problem) {
      const mayBeBare = this.#maxAge === undefined && !this.#seen.has(HEADER) && ["unsigned", "file"].includes(problem.code);
      if (mayBeBare && !["proof", "agent"].some((name) => Object.hasOwn(provenValue(data), name))) return;
      throw this.#unproven(live, HEADER, problem);
    }
    if (this.#maxAge === undefined) return;
    const { heard } = proven.value;
    const when = typeof heard === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(heard) ? Date.parse(heard) : NaN;
    if (Number.isNaN(when)) throw new FleetUnavailable(`${where} does not say when the host was last heard`);
    const age = (Date.now() - when) / 1_000;
    if (age > this.#maxAge) {
      throw new FleetUnavailable(
        `${where}: the host was last heard ${Math.floor(age)} s ago, and ${this.#maxAge} s are allowed`,
      );
    }
  }
}

// ---------------------------------------------------------------------------------------------------- reading files

const ROUTE_LIMIT = 64 * 1024;
const BUNDLE_LIMIT = 64 * 1024 * 1024;
const RETRY_DELAYS = [1, 5, 20, 50, 100];

/**
 * A live directory, as agents read it. Make one and share it.
 *
 * Opening it reads nothing, so a process may start before the fleet's first reconcile. Each session reads its route anew.
 * Bundles never change, so verified ones are kept, up to `cacheBytes`.
 *
 * With `keys`, the lines that `ensign keys` prints or the path of a file with them (default: the environment variable
 * ENSIGN_KEYS), only what the ledger's key has signed counts, and nothing older than what was seen: in this process or, with
 * `state`, the path of a file of this program's own, in earlier ones too. Without keys whoever may write to the directory
 * decides. `environment` says which one, where the keys are of several. `maxAge`, in seconds, refuses sessions when the host
 * was not heard for so long.
 */
export class Fleet {
  #cache = new Map(); // Least recently used first.
  #cacheBytes;
  #cached = 0;
  #warn;
  #proofs;

  constructor(
    live,
    { keys = process.env.ENSIGN_KEYS || undefined, environment, state, maxAge, cacheBytes = 16 * 1024 * 1024, warn = console.warn } = {},
  ) {
    this.path = live;
    if (keys === undefined && (environment ?? state ?? maxAge) !== undefined) {
      throw new InvalidKeys("`environment`, `state` and `maxAge` are about what is signed: they need `keys`");
    }
    this.#proofs = keys === undefined ? null : new Proofs(keys, { environment, state, maxAge });
    this.#cacheBytes = cacheBytes;
    this.#warn = warn;
  }

  /** Returns which versions of an agent are live now. A halted agent has a route too, with none. */
  async route(agent) {
    const route = await readRoute(this.path, agent, this.#proofs);
    if (route.phase !== "halted") await this.#proofs?.header(this.path);
    return route;
  }

  /**
   * Opens a session of an agent, named `<team>/<agent>`.
   *
   * The same key takes the same version for as long as that version is live: use what the work is about, such as a ticket
   * or a conversation. Without a key the session is a run of its own, with a random one. Rejects with an `EnsignError`,
   * and nothing else.
   */
  async session(agent, { key = randomBytes(16).toString("hex") } = {}) {
    for (let turn = 0; ; turn += 1) {
      const route = await this.route(agent);
      const { bucket: number, choice } = select(route, key);
      const data = await this.#bundle(choice.digest);
      if (data) return new Session(data, route, choice, key, number, this.path, this.#proofs, this.#warn);
      if (turn === RETRY_DELAYS.length) {
        throw new FleetUnavailable(
          `the route of ${agent} names bundle ${choice.digest}, which is not in ${this.path} ` +
            `(\`ensign reconcile --env ${route.environment}\` brings it back)`,
        );
      }
      await pause(RETRY_DELAYS[turn]); // Removed since we read the route, which then names another one by now.
    }
  }

  /** Returns the verified bytes of a bundle, or null if it is not there. */
  async #bundle(digest) {
    const kept = this.#cache.get(digest);
    if (kept) {
      this.#cache.delete(digest);
      this.#cache.set(digest, kept);
      return kept;
    }
    const parts = DIGEST.exec(digest);
    // Routes are checked when they are read; this is the last door before the file system.
    if (!parts) throw new CorruptRoute(`'${digest}' is not a digest`);
    const file = path.join(this.path, "bundles", parts[1], `${parts[2]}.json`);
    const data = await read(file, BUNDLE_LIMIT, CorruptBundle);
    if (!data) return null;
    const actual = `sha256:${createHash("sha256").update(data).digest("hex")}`;
    if (actual !== digest) {
      throw new CorruptBundle(
        `${file} has the digest ${actual}: it is not what was deployed (\`ensign drift\` shows it, ` +
          "`ensign reconcile` repairs it)",
      );
    }
    if (!this.#cache.has(digest)) this.#cached += data.length;
    this.#cache.set(digest, data);
    for (const [oldest, bytes] of this.#cache) {
      if (this.#cached <= this.#cacheBytes) break;
      this.#cache.delete(oldest);
      this.#cached -= bytes.length;
    }
    return data;
  }
}

async function readRoute(live, agent, proofs) {
  // Before it becomes part of a path: neither `..` nor a slash too many gets past the pattern.
  if (typeof agent !== "string" || !AGENT.test(agent)) {
    const shown = typeof agent === "string" ? JSON.stringify(agent) : kind(agent);
    throw new InvalidArgument(`${shown} is not an agent's name: <team>/<agent>, each of a-z, 0-9 and inner hyphens`);
  }
  const where = path.join(live, "agents", `${agent}.json`);
  const data = await read(where, ROUTE_LIMIT, CorruptRoute);
  if (data) {
    const route = parseRoute(data, agent, where);
    return proofs ? proofs.route(data, route, live) : route;
  }
  const header = await stat(path.join(live, "fleet.json")).catch(() => null);
  if (!header) {
    throw new FleetUnavailable(`no fleet in ${live}: it has no fleet.json (is the path right, and was it reconciled?)`);
  }
  throw new AgentNotFound(`no agent ${agent} in ${live}`);
}

/** Returns a file's bytes, or null if there is no such file. */
async function read(file, limit, TooLarge) {
  let handle;
  try {
    // Not blocking: a named pipe in the place of a file must not hang us.
    handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    if (!(await handle.stat()).isFile()) throw new FleetUnavailable(`${file} is not a regular file`);
    const data = Buffer.alloc(Math.min(limit + 1, Math.max((await handle.stat()).size, 1) + 1));
    let length = 0;
    let space = data;
    for (;;) {
      const { bytesRead } = await handle.read(space, length, space.length - length, null);
      length += bytesRead;
      if (bytesRead === 0 || length > limit) break;
      if (length === space.length) space = Buffer.concat([space], Math.min(limit + 1, space.length * 2));
    }
    if (length > limit) throw new TooLarge(`${file} is larger than ${limit} bytes`);
    return space.subarray(0, length);
  } catch (problem) {
    if (problem instanceof EnsignError) throw problem;
    if (problem?.code === "ENOENT") return null;
    throw new FleetUnavailable(`cannot read ${file}: ${problem?.message ?? problem}`, { cause: problem });
  } finally {
    await handle?.close().catch(() => {});
  }
}

// -------------------------------------------------------------------------------------------------------------- JSON

const DEPTH = 512;
const decimals = new WeakMap();
const orders = new WeakMap(); // Names as they stand in the file: JavaScript moves those that look like numbers forward.

/** Returns the one JSON object in `data`. Duplicate keys and half characters are errors, as everywhere in Ensign. */
function decode(data, where, Problem) {
  let value;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    value = new Parser(text).document();
  } catch (problem) {
    throw new Problem(`${where}: not valid JSON: ${problem.message}`, { cause: problem });
  }
  if (!isObject(value)) throw new Problem(`${where}: expected an object, found ${kind(value)}`);
  return value;
}

/** JSON, strictly: JSON.parse takes the last of two equal keys and cannot tell 1.0 from 1. */
class Parser {
  #text;
  #at = 0;

  constructor(text) {
    this.#text = text;
  }

  document() {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) this.#fail("something behind the value");
    return value;
  }

  #fail(problem) {
    throw new SyntaxError(`${problem} at character ${this.#at}`);
  }

  #space() {
    const pattern = /[ \t\n\r]*/y;
    pattern.lastIndex = this.#at;
    pattern.exec(this.#text);
    this.#at = pattern.lastIndex;
  }

  #match(pattern) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found) this.#at = pattern.lastIndex;
    return found?.[0];
  }

  #value(depth, owner, member) {
    if (depth > DEPTH) this.#fail(`nested deeper than ${DEPTH}`);
    this.#space();
    const first = this.#text[this.#at];
    if (first === "{") return this.#object(depth);
    if (first === "[") return this.#array(depth);
    if (first === '"') return this.#string();
    const word = this.#match(/true|false|null/y);
    if (word) return { true: true, false: false, null: null }[word];
    const number = this.#match(/-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y);
    if (number === undefined) this.#fail("no JSON value");
    const value = Number(number);
    if (!Number.isFinite(value)) this.#fail("a number beyond all bounds");
    if (owner && !/^-?[0-9]+$/.test(number)) {
      if (!decimals.has(owner)) decimals.set(owner, new Set());
      decimals.get(owner).add(member);
    }
    return value;
  }

  #object(depth) {
    const value = {};
    const names = [];
    this.#at += 1;
    this.#space();
    if (this.#match(/\}/y)) return value;
    do {
      this.#space();
      if (this.#text[this.#at] !== '"') this.#fail("no member's name");
      const name = this.#string();
      if (Object.hasOwn(value, name)) this.#fail(`duplicate key '${name}'`);
      this.#space();
      if (!this.#match(/:/y)) this.#fail("no colon");
      const member = this.#value(depth + 1, value, name);
      // Not by assignment: `__proto__` is a name like any other.
      Object.defineProperty(value, name, { value: member, enumerable: true, configurable: true, writable: true });
      names.push(name);
      this.#space();
    } while (this.#match(/,/y));
    if (!this.#match(/\}/y)) this.#fail("an object without an end");
    if (names.some((name) => /^[0-9]+$/.test(name))) orders.set(value, names);
    return value;
  }

  #array(depth) {
    const value = [];
    this.#at += 1;
    this.#space();
    if (this.#match(/\]/y)) return value;
    do {
      value.push(this.#value(depth + 1));
      this.#space();
    } while (this.#match(/,/y));
    if (!this.#match(/\]/y)) this.#fail("an array without an end");
    return value;
  }

  #string() {
    const start = this.#at;
    this.#at += 1;
    // Piece by piece: one pattern for the whole would need a stack as deep as a prompt is long.
    do this.#match(/[^"\\\u0000-\u001f]*/y);
    while (this.#match(/\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y));
    if (!this.#match(/"/y)) this.#fail("a text without an end, or with what no text has");
    const value = JSON.parse(this.#text.slice(start, this.#at));
    if (!isWellFormed(value)) this.#fail("half a character");
    return value;
  }
}

function isWellFormed(text) {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kind(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  const kinds = { object: "an object", string: "text", boolean: "a boolean", number: "a number" };
  return kinds[typeof value] ?? typeof value;
}

function attempt(work) {
  try {
    return work();
  } catch {
    return undefined; // Telemetry never fails what it is about.
  }
}

function freeze(value) {
  return Object.freeze(value);
}

const UNIT_SECONDS = { ms: 0.001, s: 1, m: 60, h: 3_600, d: 86_400 };

/**
 * An object's members by type. Whatever is missing or of another type throws, saying where. Optional members may be absent
 * or null. Members nobody asks for are ignored, so newer writers do not break us.
 */
class Fields {
  #where;
  #Problem;

  constructor(value, where, Problem) {
    this.value = value;
    this.#where = where;
    this.#Problem = Problem;
  }

  fail(name, problem) {
    throw new this.#Problem(`${this.#where}: ${name}: ${problem}`);
  }

  #get(name, is, expected, required) {
    const value = Object.hasOwn(this.value, name) ? this.value[name] : undefined;
    if ((value === undefined || value === null) && !required) return null;
    if (value === undefined) this.fail(name, `missing; expected ${expected}`);
    if (!is(value)) {
      const found = decimals.get(this.value)?.has(name) ? "a decimal" : kind(value);
      this.fail(name, `expected ${expected}, found ${found}`);
    }
    return value;
  }

  text(name) {
    return this.#get(name, (value) => typeof value === "string", "text", true);
  }

  optionalText(name) {
    return this.#get(name, (value) => typeof value === "string", "text", false);
  }

  #isInteger(name) {
    return (value) => Number.isInteger(value) && !decimals.get(this.value)?.has(name);
  }

  integer(name) {
    return this.#get(name, this.#isInteger(name), "a whole number", true);
  }

  optionalInteger(name) {
    return this.#get(name, this.#isInteger(name), "a whole number", false);
  }

  optionalNumber(name) {
    return this.#get(name, (value) => typeof value === "number", "a number", false);
  }

  optionalBoolean(name) {
    return this.#get(name, (value) => typeof value === "boolean", "a boolean", false) ?? false;
  }

  /** Seconds, or null. */
  optionalDuration(name) {
    const text = this.optionalText(name);
    if (text === null) return null;
    const parts = /^([0-9]{1,12})(ms|s|m|h|d)$/.exec(text);
    if (!parts) this.fail(name, `'${text}' is not a whole number and ms, s, m, h or d`);
    return Number(parts[1]) * UNIT_SECONDS[parts[2]];
  }

  optionalDate(name) {
    const text = this.optionalText(name);
    if (text === null) return null;
    const date = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text) ? new Date(`${text}T00:00:00Z`) : new Date(Number.NaN);
    // `new Date` makes 2 March of 30 February.
    if (Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== text || text.startsWith("0000")) {
      this.fail(name, `'${text}' is not a date like 2027-06-30`);
    }
    return text;
  }

  /** `true` is the JSON Schema that accepts everything. */
  /** A JSON Schema: an object, true (anything), false (nothing), or null where there is none. */
  schema(name) {
    const value = this.value[name] ?? null;
    return value === null || typeof value === "boolean" ? value : this.object(name).value;
  }

  optionalSchema(name) {
    const value = this.schema(name);
    if (value === false) return { not: {} };
    return isObject(value) && Object.keys(value).length ? value : null;
  }

  object(name, required = true) {
    const value = this.#get(name, isObject, "an object", required);
    return new Fields(value ?? {}, `${this.#where}: ${name}`, this.#Problem);
  }

  /** Whether a member that must be there is not null. */
  isPresent(name) {
    return !Object.hasOwn(this.value, name) || this.value[name] !== null;
  }

  objects(name, required = true) {
    return (this.#get(name, Array.isArray, "an array", required) ?? []).map((value, index) => {
      if (!isObject(value)) this.fail(`${name}[${index}]`, `expected an object, found ${kind(value)}`);
      return new Fields(value, `${this.#where}: ${name}[${index}]`, this.#Problem);
    });
  }

  textList(name) {
    const values = this.#get(name, Array.isArray, "an array", false) ?? [];
    values.forEach((value, index) => {
      if (typeof value !== "string") this.fail(`${name}[${index}]`, `expected text, found ${kind(value)}`);
    });
    return values;
  }

  texts() {
    return Object.fromEntries(Object.keys(this.value).map((name) => [name, this.text(name)]));
  }
}

// ----------------------------------------------------------------------------------------------------- command line

/** Prints which version a session takes, as JSON. Returns the exit status, with the meanings `ensign` gives them. */
export async function main(given, print = console.log, complain = console.error) {
  const places = [];
  const options = { key: randomBytes(16).toString("hex") };
  for (let index = 0; index < given.length; index += 1) {
    const [, name, value] = /^--(key|keys|environment|state)(?:=(.*))?$/s.exec(given[index]) ?? [];
    if (value !== undefined) options[name] = value;
    else if (name && index + 1 < given.length) options[name] = given[(index += 1)];
    else places.push(given[index]);
  }
  const { key, ...about } = options;
  if (places.length !== 2 || places.some((place) => place.startsWith("--"))) {
    complain("usage: node ensign.mjs LIVE_DIR AGENT [--key KEY] [--keys FILE] [--environment ENV] [--state FILE]");
    return 64;
  }
  try {
    const route = await new Fleet(places[0], about).route(places[1]);
    const { bucket: number, choice } = select(route, key);
    const answer = {
      agent: route.agent,
      bucket: number,
      digest: choice.digest,
      environment: route.environment,
      phase: route.phase,
      version: choice.version,
    };
    print(JSON.stringify(answer));
    return 0;
  } catch (problem) {
    if (!(problem instanceof EnsignError)) throw problem;
    complain(`error: ${problem.message}`);
    if (problem instanceof InvalidArgument || problem instanceof InvalidKeys) return 64;
    if (problem instanceof AgentHalted) return 4;
    return problem instanceof CorruptRoute || problem instanceof CorruptBundle ? 5 : 1;
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = await main(process.argv.slice(2));
}
