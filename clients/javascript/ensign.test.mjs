// Tests of ensign.mjs. Hermetic: each builds a live directory of its own. Run with `node --test` and this file.
// agreement.py beside this file holds the client against the one for Python.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

import * as ensign from "./ensign.mjs";

const AGENT = "support/refund-triage";
const VECTORS = new URL("../../Tests/Vectors/", import.meta.url);
const vectors = (name) => JSON.parse(readFileSync(new URL(name, VECTORS), "utf8"));
const root = mkdtempSync(path.join(tmpdir(), "ensign test "));
after(() => rmSync(root, { recursive: true }));

let live;
let number = 0;
let said;
beforeEach(() => {
  live = path.join(root, `live – ${(number += 1)}`);
  write("fleet.json", canonical({ environment: "prod" }));
  said = [];
});

function canonical(value) {
  const sorted = (each) =>
    Array.isArray(each)
      ? each.map(sorted)
      : each && typeof each === "object"
        ? Object.fromEntries(Object.keys(each).sort().map((name) => [name, sorted(each[name])]))
        : each;
  return `${JSON.stringify(sorted(value))}\n`;
}

const digestOf = (data) => `sha256:${createHash("sha256").update(data).digest("hex")}`;
const bundlePath = (digest) => `bundles/${digest.slice(7, 9)}/${digest.slice(9)}.json`;
const routePath = (agent = AGENT) => `agents/${agent}.json`;

function write(place, data) {
  const target = path.join(live, place);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(`${target}.new`, data);
  renameSync(`${target}.new`, target);
}

function makeBundle(version = "1.4.0", changes = {}) {
  const bundle = {
    agent: AGENT,
    version,
    environment: "prod",
    artifact: digestOf(version),
    owner: "support",
    identity: `spiffe://agents.example.com/prod/${AGENT}`,
    description: "Decides refund requests below the automatic limit.",
    labels: { domain: "refunds" },
    model: { provider: "anthropic", name: "claude-sonnet-4-5", parameters: { temperature: 0.2 } },
    instructions: `You are version ${version}.\nBe kind – and brief. 🙂\n`,
    contract: { input: { type: "object" }, output: { type: "object" } },
    tools: [
      {
        tool: "crm",
        version: "2.1.0",
        server: { mcp: { command: ["crm-mcp"] } },
        credentials: { ref: "vault:crm" },
        operations: { lookup: { access: "read", risk: "low", approval: "none" } },
      },
      {
        tool: "payments",
        version: "1.3.0",
        server: { mcp: { command: ["payments-mcp"] } },
        credentials: { ref: "vault:payments" },
        operations: {
          refund: {
            access: "execute",
            risk: "high",
            approval: "manager",
            description: "Give money back.",
            input: { type: "object", required: ["amount"], properties: { amount: { type: "number", maximum: 100 } } },
            output: { type: "object" },
            timeout: "20s",
            idempotent: true,
            expires: "2027-06-30",
          },
        },
      },
    ],
    delegates: ["it/escalation-desk"],
    autonomy: "full",
    limits: { steps: 8, tokens: 20000, costUSD: 0.5, seconds: 90, costUSDPerDay: 40 },
    runtime: { kind: "langgraph", graph: "refunds:graph" },
    ...changes,
  };
  return Object.fromEntries(Object.entries(bundle).filter(([, value]) => value !== undefined));
}

function deploy(...bundles) {
  const routes = bundles.map((bundle) => {
    const data = canonical(bundle);
    write(bundlePath(digestOf(data)), data);
    return { version: bundle.version, digest: digestOf(data), weight: Math.round(100 / bundles.length) };
  });
  setRoute({ routes, phase: bundles.length > 1 ? "canary" : "stable" }, bundles[0].agent);
  return routes.map((each) => each.digest);
}

function setRoute(changes, agent = AGENT) {
  write(routePath(agent), canonical({ agent, environment: "prod", phase: "stable", routes: [], ...changes }));
}

const fleet = (options) => new ensign.Fleet(live, { warn: (message) => said.push(message), ...options });
const open = (changes) => (deploy(makeBundle("1.4.0", changes)), fleet().session(AGENT, { key: "ticket-1" }));

async function refuses(Problem, words, agent = AGENT, key = "ticket-1") {
  await assert.rejects(fleet().session(agent, { key }), (problem) => {
    assert.equal(problem.constructor, Problem, problem);
    assert.ok(problem instanceof ensign.EnsignError);
    assert.ok(problem.message.includes(words), `${problem.message}: no ${words}`);
    return true;
  });
}

// --------------------------------------------------------------------------------------------------------- routing

test("the shared vectors of routing", () => {
  assert.equal(vectors("routing.json").length, 20);
  for (const vector of vectors("routing.json")) {
    const route = { ...vector, environment: "prod", phase: "canary" };
    const { bucket, choice } = ensign.select(route, vector.key);
    assert.equal(bucket, vector.bucket);
    assert.equal(choice, vector.routes[vector.index]);
  }
});

test("a key keeps its version, and no key draws one", async () => {
  deploy(makeBundle("1.5.0"), makeBundle("1.4.0"));
  for (const key of ["", "ticket-4711", "Zoë 🚢", "a\nb", "k".repeat(10_000)]) {
    const first = await fleet().session(AGENT, { key });
    assert.equal((await fleet().session(AGENT, { key })).version, first.version);
    assert.equal(first.phase, "canary");
  }
  const drawn = await Promise.all(Array.from({ length: 64 }, () => fleet().session(AGENT)));
  assert.deepEqual(new Set(drawn.map((session) => session.version)), new Set(["1.4.0", "1.5.0"]));
});

test("keys that are not text are refused", async () => {
  deploy(makeBundle());
  for (const key of [4711, null, {}, "half \ud83d", "\udc00"]) await refuses(ensign.InvalidArgument, "key", AGENT, key);
});

// --------------------------------------------------------------------------------------------------- names of tools

test("the shared vectors of names for models", () => {
  const all = vectors("model-names.json");
  for (const vector of all) {
    assert.equal(ensign.modelName(vector.tool, vector.operation), vector.name);
    assert.match(vector.name, /^[A-Za-z0-9_-]{1,64}$/);
  }
  assert.equal(new Set(all.map((vector) => vector.name)).size, all.length);
});

test("the shared vectors of what a name means", async () => {
  for (const vector of vectors("tool-names.json")) {
    const session = await open({ tools: granting(vector.granted) });
    for (const { name, means } of vector.names) {
      const found = session.candidates(name).map((operation) => `${operation.tool}.${operation.name}`);
      assert.deepEqual(found, means, name);
      const resolved = session.resolve(name);
      assert.equal(resolved && `${resolved.tool}.${resolved.name}`, means.length === 1 ? means[0] : null, name);
    }
    for (const schema of session.toolSchemas()) assert.equal(session.resolve(schema.name).schemaName, schema.name);
  }
});

function granting(granted) {
  const tools = {};
  for (const { tool, operation, server } of granted) {
    tools[tool] ??= { tool, version: "1.0.0", operations: {} };
    tools[tool].operations[operation] = { access: "read", risk: "low", approval: "none" };
    if (server !== undefined) tools[tool].operations[operation].mcp = { tool: server };
  }
  return Object.values(tools);
}

// --------------------------------------------------------------------------------------------------------- sessions

test("everything in the bundle has a type", async () => {
  const session = await open();
  assert.deepEqual([session.agent, session.version, session.environment], [AGENT, "1.4.0", "prod"]);
  assert.equal(session.digest, digestOf(canonical(makeBundle())));
  assert.equal(session.instructions, "You are version 1.4.0.\nBe kind – and brief. 🙂\n");
  assert.deepEqual(session.model, { ...makeBundle().model, fallbacks: [] });
  assert.deepEqual(session.limits, makeBundle().limits);
  assert.deepEqual(session.bundle, makeBundle());
  assert.deepEqual(session.labels, { domain: "refunds" });
  const refund = session.tools[1].operations.get("refund");
  assert.deepEqual([refund.timeout, refund.idempotent, refund.expires, refund.needsApproval], [20, true, "2027-06-30", true]);
  assert.equal(session.key, "ticket-1");
  assert.ok(!JSON.stringify(session).includes("ticket-1"));
  assert.throws(() => (session.version = "2.0.0"), TypeError);
});

test("what a bundle may leave out", async () => {
  for (const value of [undefined, null]) {
    const names = ["description", "labels", "contract", "delegates", "limits", "runtime"];
    const session = await open({ tools: [], ...Object.fromEntries(names.map((name) => [name, value])) });
    assert.deepEqual([session.description, session.labels, session.delegates], [null, {}, []]);
    assert.deepEqual(session.limits, { steps: null, tokens: null, costUSD: null, seconds: null, costUSDPerDay: null });
    assert.equal(session.exceeded({ steps: 1e9, costUSD: 1e9 }), null);
  }
});

test("an agent may have no model and several prompts", async () => {
  const prompts = { reply: "Reply.", triage: "Sort." };
  const store = { kind: "memory", scope: "agent" };
  const declared = { model: null, instructions: null, prompts, name: "refund_triage", triggers: [{ cron: "0 6 * * *" }] };
  const session = await open({ ...declared, tools: [{ ...makeBundle().tools[0], store }] });
  assert.deepEqual([session.hasModel, session.prompts, session.alias], [false, prompts, "refund_triage"]);
  assert.deepEqual([session.triggers, session.tools[0].store], [declared.triggers, store]);
  assert.throws(() => session.model, { name: "NotDeclared", message: /no model of its own/ });
  assert.throws(() => session.instructions, { name: "NotDeclared", message: /its prompts are reply, triage/ });
  assert.equal("gen_ai.request.model" in session.telemetryAttributes(), false);
  const other = { provider: "openai", name: "gpt-5", parameters: {} };
  const second = await open({ model: { ...other, fallbacks: [{ ...other, name: "gpt-4" }] } });
  assert.deepEqual(second.model.fallbacks.map((model) => model.name), ["gpt-4"]);
  assert.deepEqual([second.alias, second.prompts, second.triggers, second.tools[0].store], [null, {}, [], null]);
});

test("only what was granted is allowed, until its last day is over", async () => {
  const session = await open();
  const [today, later] = [{ today: "2027-06-30" }, { today: "2027-07-01" }];
  assert.equal(session.allowed("payments", "refund", today).name, "refund");
  assert.equal(session.resolve("payments__refund", today).name, "refund");
  for (const [tool, name] of [["payments", "lookup"], ["crm", "refund"], ["mail", "send"], ["", ""], ["crm", "__proto__"]]) {
    assert.equal(session.allowed(tool, name, today), null);
  }
  for (const name of ["payments__", "mail__send", "constructor", "", 7, null]) assert.equal(session.resolve(name, today), null);
  assert.equal(session.allowed("payments", "refund", later), null);
  assert.equal(session.resolve("payments__refund", later), null);
  assert.deepEqual(session.toolSchemas(later).map((schema) => schema.name), ["crm__lookup"]);
});

test("an approval unknown to this client needs approval", async () => {
  const { tools } = makeBundle();
  tools[0].operations.lookup.approval = "board";
  assert.equal((await open({ tools })).allowed("crm", "lookup").needsApproval, true);
});

test("limits say which one is exceeded", async () => {
  const session = await open();
  assert.equal(session.exceeded({ steps: 8, tokens: 20_000, costUSD: 0.5, seconds: 90 }), null);
  assert.equal(session.exceeded({ steps: 9 }), "9 steps, the limit is 8");
  assert.equal(session.exceeded({ costUSD: 0.51 }), "0.51 USD, the limit is 0.5");
});

test("changing what a session gave changes no other session", async () => {
  const session = await open();
  session.toolSchemas({ today: "2026-01-01" })[1].input_schema.properties = {};
  session.bundle.tools.length = 0;
  session.model.parameters.temperature = 2;
  const other = await fleet().session(AGENT, { key: "ticket-1" });
  assert.deepEqual(other.bundle, makeBundle());
  assert.deepEqual(other.toolSchemas({ today: "2026-01-01" })[1].input_schema, makeBundle().tools[1].operations.refund.input);
});

test("a tool of any kind is kept if it was granted and left out if not", async () => {
  const session = await open();
  const day = { today: "2026-01-01" };
  const kinds = (name) => [
    name,
    { name, invoke() {} },
    { type: "function", function: { name } },
    { name, input_schema: {} },
    { name, inputSchema: {} },
    { toolSpec: { name } },
    Object.defineProperty(() => {}, "name", { value: name }),
  ];
  kinds("payments__refund").forEach((granted, index) => {
    const other = kinds("mail__send")[index];
    const { tools, dropped, missing } = session.toolsFor([other, granted], day);
    assert.deepEqual([tools, dropped, missing], [[granted], ["mail__send"], ["crm.lookup"]]);
    assert.ok(session.allows(granted, day) && !session.allows(other, day));
  });
  assert.equal(said.length, 1, said);
  assert.match(said[0], /"mail__send"/);
  const named = session.toolsFor({ payments__refund: 1, mail__send: 2 }, day);
  assert.deepEqual([named.tools, named.dropped], [{ payments__refund: 1 }, ["mail__send"]]);
  const group = { functionDeclarations: [{ name: "crm__lookup" }, { name: "mail__send" }] };
  assert.deepEqual(session.toolsFor([group], day).tools, [{ functionDeclarations: [{ name: "crm__lookup" }] }]);
  assert.equal(group.functionDeclarations.length, 2);
  for (const odd of [{}, null, 7, undefined, { name: 7 }, { type: "web_search" }]) {
    assert.equal(session.toolsFor([odd], day).tools.length, 0);
  }
  assert.deepEqual(session.toolsFor(["lookup"], { of: "payments", ...day }).tools, []);
  assert.deepEqual(session.toolsFor(["lookup"], { of: "crm", ...day }).tools, ["lookup"]);
});

// ---------------------------------------------------------------------------------------------------------- changes

test("the next session sees the change and an open one does not", async () => {
  const before = await open();
  deploy(makeBundle("1.5.0"));
  assert.equal((await fleet().session(AGENT)).version, "1.5.0");
  assert.equal(before.version, "1.4.0");
});

test("a halted agent starts no session, and open ones can tell", async () => {
  const session = await open();
  await session.raiseIfHalted();
  const { digest } = session;
  for (const routes of [[], [{ version: "1.4.0", digest, weight: 100 }], "none", null]) {
    setRoute({ routes, phase: "halted" });
    await refuses(ensign.AgentHalted, "halted in prod");
    await assert.rejects(session.raiseIfHalted(), ensign.AgentHalted);
  }
  unlinkSync(path.join(live, routePath()));
  await refuses(ensign.AgentNotFound, AGENT);
  await assert.rejects(session.raiseIfHalted(), ensign.AgentHalted);
});

test("a bundle that stays away is an error after a bounded wait", async () => {
  const [digest] = deploy(makeBundle());
  unlinkSync(path.join(live, bundlePath(digest)));
  const start = Date.now();
  await refuses(ensign.FleetUnavailable, "ensign reconcile --env prod");
  assert.ok(Date.now() - start < 5_000);
  const waiting = fleet().session(AGENT);
  setTimeout(() => deploy(makeBundle("1.5.0")), 20);
  assert.equal((await waiting).version, "1.5.0");
});

test("changed bytes are never used", async () => {
  const data = Buffer.from(canonical(makeBundle()));
  const [digest] = deploy(makeBundle());
  const other = Buffer.from(data.toString().replace("100", "900"));
  for (const changed of [data.subarray(0, -1), Buffer.concat([data, Buffer.from("\n")]), other, Buffer.alloc(0), Buffer.alloc(99)]) {
    write(bundlePath(digest), changed);
    await refuses(ensign.CorruptBundle, digestOf(changed));
  }
});

test("verified bundles are kept within bounds", async () => {
  const bundles = Array.from({ length: 4 }, (_, minor) => makeBundle(`1.${minor}.0`, { instructions: "x".repeat(1_000) }));
  const one = fleet({ cacheBytes: 2 * Buffer.byteLength(canonical(bundles[0])) + 10 });
  const digests = [];
  for (const bundle of bundles) {
    digests.push(...deploy(bundle));
    await one.session(AGENT);
  }
  const remove = (index) => unlinkSync(path.join(live, bundlePath(digests[index])));
  const use = (index) => (setRoute({ routes: [{ version: `1.${index}.0`, digest: digests[index], weight: 100 }] }), one.session(AGENT));
  [0, 3].forEach(remove);
  assert.equal((await use(3)).version, "1.3.0");
  await assert.rejects(use(0), ensign.FleetUnavailable);
});

// -------------------------------------------------------------------------------------------------------- malformed

test("names are checked before any file is touched", async () => {
  const names = [
    "", "/", "a", "a/", "/a", "a/b/c", "../secret", "../../secret", "support/..", "./a", "support/../support/refund-triage",
    "/etc/passwd", "support//refund-triage", "Support/refund-triage", "support/refund_triage", "support/-a", "support/a-",
    "support/a.json", "support/a\n", "support/a\0", "support\\a", `support/${"a".repeat(64)}`, "süpport/a", "support/a ",
    null, 7, undefined, ["a/b"], { toString: () => "a/b" },
  ]; // prettier-ignore
  for (const name of names) {
    await assert.rejects(new ensign.Fleet("/nowhere").session(name), ensign.InvalidArgument);
  }
});

test("missing fleets and agents differ", async () => {
  await refuses(ensign.AgentNotFound, AGENT);
  unlinkSync(path.join(live, "fleet.json"));
  await refuses(ensign.FleetUnavailable, "fleet.json");
  for (const place of ["/nowhere", "a\0b", path.join(fileURLToPath(import.meta.url), "below")]) {
    await assert.rejects(new ensign.Fleet(place).session(AGENT), ensign.FleetUnavailable);
  }
});

test("files that are not files", async () => {
  const [digest] = deploy(makeBundle());
  for (const place of [bundlePath(digest), routePath()]) {
    const whole = path.join(live, place);
    unlinkSync(whole);
    mkdirSync(whole);
    await refuses(ensign.FleetUnavailable, place);
    rmSync(whole, { recursive: true });
    assert.equal(spawnSync("mkfifo", [whole]).status, 0);
    await refuses(ensign.FleetUnavailable, "not a regular file");
    unlinkSync(whole);
    symlinkSync(path.basename(whole), whole);
    await refuses(ensign.FleetUnavailable, place);
  }
});

test("malformed JSON", async () => {
  const [digest] = deploy(makeBundle());
  const routes = `[{"version":"1.4.0","digest":"${digest}","weight":100}]`;
  const good = (inner) => `{"agent":"support/refund-triage","environment":"prod","phase":"stable","routes":${inner}}`;
  write(routePath(), good(routes));
  await fleet().session(AGENT);
  const cases = [
    ["", "not valid JSON"],
    [good(routes).slice(0, -5), "not valid JSON"],
    [good(routes).repeat(2), "not valid JSON"],
    [Buffer.from([0xff, 0xfe, 0x7b, 0x7d]), "not valid JSON"],
    [`\ufeff${good(routes)}`, "not valid JSON"],
    [`{"agent":"a/b",${good(routes).slice(1)}`, "duplicate key 'agent'"],
    [`{"__proto__":1,"__proto__":1,${good(routes).slice(1)}`, "duplicate key '__proto__'"],
    [good('[{"weight":NaN}]'), "not valid JSON"],
    [good(routes).replace("prod", "\\uD83D"), "half a character"],
    [good(routes).replace("prod", "pr\tod"), "not valid JSON"],
    [`{"a":${"[".repeat(60_000)}`, "nested deeper"],
    [good(`[{"weight":${"9".repeat(10_000)}}]`), ""],
    [good('[{"weight":01}]'), "not valid JSON"],
    ["[]", "expected an object, found an array"],
    ["null", "expected an object, found null"],
    [" ".repeat(64 * 1024) + good(routes), "larger than 65536 bytes"],
  ];
  for (const [data, words] of cases) {
    write(routePath(), data);
    await refuses(ensign.CorruptRoute, words);
  }
});

test("malformed routes", async () => {
  const [digest] = deploy(makeBundle());
  const entry = { version: "1.4.0", digest, weight: 100 };
  const cases = [
    [{ agent: "it/other" }, "names 'it/other'"],
    [{ environment: null }, "environment: expected text, found null"],
    [{ phase: "paused" }, "unknown phase 'paused'"],
    [{ phase: ["halted"] }, "phase: expected text, found an array"],
    [{ routes: undefined }, "routes: missing"],
    [{ routes: {} }, "routes: expected an array, found an object"],
    [{ routes: [] }, "weights add up to 0, not to 100"],
    [{ routes: [7] }, "routes[0]: expected an object"],
    ...[
      [{ version: undefined }, "routes[0]: version: missing"],
      [{ digest: digest.slice(7) }, "is not sha256:"],
      [{ digest: digest.toUpperCase() }, "is not sha256:"],
      [{ digest: `${digest}\n` }, "is not sha256:"],
      [{ digest: "sha256:../../../../etc/passwd" }, "is not sha256:"],
      [{ weight: "100" }, "weight: expected a whole number, found text"],
      [{ weight: true }, "weight: expected a whole number, found a boolean"],
      [{ weight: 99 }, "weights add up to 99, not to 100"],
      [{ weight: 101 }, "101 is not in 0...100"],
      [{ weight: -1 }, "-1 is not in 0...100"],
    ].map(([change, words]) => [{ routes: [{ ...entry, ...change }] }, words]),
    [{ routes: [{ ...entry, weight: -50 }, { ...entry, weight: 150 }] }, "is not in 0...100"],
  ];
  for (const [change, words] of cases) {
    setRoute({ routes: [entry], ...change });
    await refuses(ensign.CorruptRoute, words);
  }
  write(routePath(), canonical({ agent: AGENT, environment: "prod", phase: "stable", routes: [entry] }).replace(":100", ":100.0"));
  await refuses(ensign.CorruptRoute, "weight: expected a whole number, found a decimal");
});

test("malformed bundles", async () => {
  const tool = (changes) => ({ tools: [{ ...makeBundle().tools[1], ...changes }] });
  const operation = (changes) => tool({ operations: { refund: { ...makeBundle().tools[1].operations.refund, ...changes } } });
  const cases = [
    ...["agent", "version", "environment", "artifact", "owner", "identity", "instructions", "model", "tools", "autonomy"].flatMap(
      (name) => [
        [{ [name]: undefined }, `${name}: missing`],
        [{ [name]: 7 }, `${name}: expected`],
      ],
    ),
    [{ agent: "it/other" }, "is 'it/other', and the route says"],
    [{ labels: { a: 1 } }, "labels: a: expected text"],
    [{ prompts: { a: 1 } }, "prompts: a: expected text"],
    [{ triggers: ["daily"] }, "triggers[0]: expected an object"],
    [{ model: { provider: "a", name: "b", fallbacks: [{ name: "c" }] } }, "fallbacks[0]: provider: missing"],
    [tool({ store: "memory" }), "tools[0]: store: expected an object"],
    [{ delegates: [null] }, "delegates[0]: expected text, found null"],
    [{ limits: { steps: 1.5 } }, "limits: steps: expected a whole number"],
    [{ limits: { costUSD: "1" } }, "limits: costUSD: expected a number"],
    [tool({ operations: ["refund"] }), "tools[0]: operations: expected an object"],
    [operation({ approval: undefined }), "refund: approval: missing"],
    [operation({ input: 7 }), "refund: input: expected an object"],
    [operation({ timeout: "20 s" }), "refund: timeout: '20 s' is not a whole number and"],
    [operation({ expires: "2027-02-30" }), "refund: expires: '2027-02-30' is not a date"],
    [operation({ expires: "20270630" }), "refund: expires: '20270630' is not a date"],
    [operation({ mcp: { tool: 7 } }), "refund: mcp: tool: expected text"],
  ];
  for (const [change, words] of cases) {
    const data = canonical(makeBundle("1.4.0", change));
    write(bundlePath(digestOf(data)), data);
    setRoute({ routes: [{ version: "1.4.0", digest: digestOf(data), weight: 100 }] });
    await refuses(ensign.CorruptBundle, words);
  }
});

test("a prompt of any length is read", async () => {
  const instructions = "a\n\"🙂".repeat(1_000_000);
  assert.equal((await open({ instructions })).instructions, instructions);
});

// -------------------------------------------------------------------------------------------------------- telemetry

class Span {
  attributes = {};
  status = {};
  constructor(name, processor, parent, attributes) {
    Object.assign(this, { name, attributes: { ...attributes } });
    processor?.onStart(this, { getValue: (key) => (key === Symbol.for("OpenTelemetry Context Key SPAN") ? parent : undefined) });
  }
  setAttribute(name, value) { this.attributes[name] = value; }
  setAttributes(attributes) { Object.assign(this.attributes, attributes); }
  setStatus(status) { this.status = status; }
  recordException(problem) { this.problem = problem; }
  end() { this.ended = true; }
}

function tracing() {
  const spans = [];
  const tracer = {
    startActiveSpan: (name, { attributes }, work) => work((spans.push(new Span(name, undefined, undefined, attributes)), spans.at(-1))),
  };
  return { spans, tracer };
}

test("spans are stamped inside, by the session or by the parent", async () => {
  const session = await open();
  const processor = new ensign.SpanProcessor();
  assert.deepEqual(new Span("outside", processor).attributes, {});
  const inner = await session.within(async () => {
    await null;
    assert.equal(ensign.currentSession(), session);
    return new Span("inside", processor, undefined, { "gen_ai.agent.name": "helper" });
  });
  assert.deepEqual(inner.attributes, { ...session.telemetryAttributes(), "gen_ai.agent.name": "helper" });
  assert.equal(ensign.currentSession(), undefined);
  assert.deepEqual(new Span("below", processor, inner).attributes, session.telemetryAttributes());
  assert.deepEqual(new Span("own", processor, inner, { "ensign.bundle": "x" }).attributes, { "ensign.bundle": "x" });
});

test("a worker that sessions share stamps by the parent, and an agent inside another one's run is itself", async () => {
  const processor = new ensign.SpanProcessor();
  const [one, two] = await Promise.all(["1", "2"].map((key) => (deploy(makeBundle()), fleet().session(AGENT, { key }))));
  const parent = two.within(() => new Span("parent", processor));
  assert.deepEqual(one.within(() => new Span("late", processor, parent)).attributes, two.telemetryAttributes());
  const outer = one.run(() => new Span("outer", processor), { name: "r" });
  assert.equal(outer.attributes["ensign.run"], "r");
  one.run(() => {
    two.within(() => {
      assert.deepEqual(new Span("implicit", processor).attributes, two.telemetryAttributes());
      assert.deepEqual(new Span("explicit", processor, outer).attributes, two.telemetryAttributes());
    });
  }, { name: "r" });
  // What starts the next one inside of itself, without an end, remembers a bounded number of them.
  const nested = (depth, work) => (depth ? [one, two][depth % 2].within(() => nested(depth - 1, work)) : work());
  nested(500, () => assert.deepEqual(new Span("deep", processor, outer).attributes, two.telemetryAttributes()));
});

test("baggage is believed only when that is asked for, and only if it is a digest", async () => {
  const { digest } = await open();
  const stamped = (processor, entries) => {
    const span = new Span("inner");
    const baggage = { getEntry: (name) => (name in entries ? { value: entries[name] } : undefined) };
    processor.onStart(span, { getValue: (key) => (key === Symbol.for("OpenTelemetry Baggage Key") ? baggage : undefined) });
    return span.attributes;
  };
  const sent = { "ensign.bundle": digest, "ensign.session": "5f1c" };
  assert.deepEqual(stamped(new ensign.SpanProcessor(), sent), {});
  assert.deepEqual(stamped(new ensign.SpanProcessor({ baggage: true }), { ...sent, other: "x" }), sent);
  for (const odd of ["sha256:7", 7, `${digest}\n`, ""]) {
    assert.deepEqual(stamped(new ensign.SpanProcessor({ baggage: true }), { "ensign.bundle": odd }), {});
  }
});

test("sessions that run at once are apart", async () => {
  const sessions = await Promise.all(["1", "2", "3"].map((key) => (deploy(makeBundle()), fleet().session(AGENT, { key }))));
  const seen = await Promise.all(
    sessions.map((session) => session.run(async () => (await new Promise((done) => setTimeout(done, 5)), ensign.currentSession()))),
  );
  assert.deepEqual(seen.map((each) => each.key), ["1", "2", "3"]);
});

test("a run and a call have their spans, and fail as their work does", async () => {
  const session = await open();
  const { spans, tracer } = tracing();
  assert.equal(await session.run(async (run) => (run.usage({ inputTokens: 100, outputTokens: 20 }), 7), { tracer }), 7);
  assert.equal(session.call("payments__refund", { b: 1 }, () => 8, { tracer }), 8);
  await assert.rejects(session.run(async () => { throw new RangeError("x"); }, { tracer }), RangeError);
  assert.throws(() => session.call("x", undefined, () => { throw new ensign.PermissionDenied("no"); }, { tracer }));
  session.run((run) => run.fail("no answer"), { tracer });
  const [run, call, failed, denied, told] = spans;
  assert.deepEqual(run.attributes, {
    "gen_ai.operation.name": "invoke_agent",
    ...session.telemetryAttributes(),
    "ensign.run": run.attributes["ensign.run"],
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
  });
  assert.equal(call.attributes["gen_ai.tool.call.arguments"], '{"b":1}');
  assert.equal(denied.attributes["error.type"], "permission_denied");
  assert.equal(failed.attributes["error.type"], "RangeError");
  assert.deepEqual(spans.map((span) => span.status.code), [undefined, undefined, 2, 2, 2]);
  assert.equal(told.status.message, "no answer");
  assert.ok(spans.every((span) => span.ended));
  assert.equal(session.run((given) => given.span), undefined);
  const round = {};
  round.round = round;
  assert.equal(session.call("x", round, () => 1, { tracer }), 1);
});

test("names and keys that the gateway refuses are no headers", async () => {
  const session = await open();
  for (const name of ["Ticket 7", "Fällt", "a\nb", "\t", "é", "x\x7f", "a\n"]) {
    const headers = (run) => run.gatewayHeaders;
    const refused = { name: "InvalidArgument", message: /^Ensign-Run is 1 to 256 printable/ };
    assert.throws(() => session.run(headers, { name }), refused);
    const other = await fleet().session(AGENT, { key: name });
    assert.throws(() => other.run(headers, { name: "r" }), { ...refused, message: /^Ensign-Key is 1 to 256 printable/ });
  }
  const name = "~".repeat(256);
  assert.equal(session.run((run) => run.gatewayHeaders["Ensign-Run"], { name }), name);
});

test("a run has a name on all spans of its block", async () => {
  const session = await open();
  const { spans, tracer } = tracing();
  const processor = new ensign.SpanProcessor();
  session.run(
    (run) => {
      assert.equal(run.run, "ticket-7");
      assert.deepEqual(run.gatewayHeaders, { "Ensign-Run": "ticket-7", "Ensign-Key": session.key });
      session.call("x", undefined, (call) => assert.equal(call.run, "ticket-7"), { tracer });
      spans.push(new Span("inner", processor), session.within(() => new Span("same", processor)));
    },
    { tracer, name: "ticket-7" },
  );
  assert.deepEqual(spans.map((span) => span.attributes["ensign.run"]), Array(4).fill("ticket-7"));
  const trace = "0af7651916cd43dd8448eb211c80319c";
  const known = { startActiveSpan: (name, { attributes }, work) => work(Object.assign(new Span(name, undefined, undefined, attributes), { spanContext: () => ({ traceId: trace }) })) };
  session.run((run) => assert.deepEqual([run.run, run.span.attributes["ensign.run"]], [trace, trace]), { tracer: known });
  const names = [1, 2].map(() => session.run((run) => run.run));
  assert.ok(names.every((name) => /^[0-9a-f]{32}$/.test(name)) && names[0] !== names[1]);
  for (const name of ["", "x".repeat(257), 7]) assert.throws(() => session.run(() => 1, { name }), ensign.InvalidArgument);
});

test("a call is held against grant, day, schema and approval in this order", async () => {
  const decided = async (change, args, name = "refund") => {
    const bundle = makeBundle();
    Object.assign(bundle.tools[1].operations.refund, { approval: "none", expires: null, ...change });
    const session = await open({ tools: bundle.tools });
    const { verdict, reason, text } = session.decide(name, args, { today: "2026-01-01" });
    return [verdict, reason, text];
  };
  const input = { type: "object", properties: { amount: { type: "number", maximum: 100 } }, additionalProperties: false };
  const cases = [
    [{ input }, { amount: 100 }, "allowed", null],
    [{ input }, { amount: 4000 }, "refused", "arguments"],
    [{ input }, { amount: "50" }, "refused", "arguments"],
    [{ input, expires: "2025-12-31" }, { amount: 4000 }, "refused", "expired"],
    [{ input, approval: "manager" }, {}, "needs-approval", null],
    [{ input, approval: "manager" }, { amount: 4000 }, "refused", "arguments"],
    [{ input: null }, {}, "allowed", null],
    [{ input: null }, { a: 1 }, "refused", "arguments"],
    [{ input: false }, {}, "refused", "arguments"],
    [{ input: true }, { a: 1 }, "allowed", null],
    [{ input: true, rate: "30/m" }, {}, "unknown", "rate"],
    [{ input: { type: "object", properties: { a: { type: "string", pattern: "(?=a)" } } } }, { a: "a" }, "unknown", "schema"],
    ...[NaN, Infinity, 2 ** 54, 1n, () => 1, new Date(), "\ud800"].map((a) => [{ input: true }, { a }, "refused", "arguments"]),
    // As JSON.stringify sends it: without the member, and with null in an array.
    [{ input }, { amount: undefined }, "allowed", null],
    [{ input: null }, { a: undefined }, "allowed", null],
    [{ input: { type: "object", required: ["a"] } }, { a: undefined }, "refused", "arguments"],
    [{ input: true }, { a: [undefined] }, "refused", "arguments"],
    ...[2 ** 53, -(2 ** 53)].map((a) => [{ input: true }, { a }, "unknown", "schema"]),
    ...[[1], "x", null, 7, new Map()].map((args) => [{ input: true }, args, "refused", "arguments"]),
  ];
  for (const [change, args, ...wanted] of cases) assert.deepEqual((await decided(change, args)).slice(0, 2), wanted, JSON.stringify(change));
  assert.deepEqual((await decided({ input }, {}, "payments__drop")).slice(0, 2), ["refused", "not-granted"]);
  assert.equal((await decided({ input }, { amount: 4000 }))[2], "refused: payments.refund: amount: maximum: 100. Nothing was done.");
});

test("the day is a day of UTC, and nothing else lets a call through", async () => {
  const bundle = makeBundle();
  Object.assign(bundle.tools[1].operations.refund, { approval: "none", expires: "2026-06-30", input: true });
  const session = await open({ tools: bundle.tools });
  const [refund] = session.candidates("refund");
  for (const [today, wanted] of [
    ["2026-06-30", "allowed"], [new Date("2026-06-30T23:59:59Z"), "allowed"],
    ["2026-07-01", "refused"], [new Date("2026-07-01T00:00:00Z"), "refused"], [new Date("2026-06-30T23:59:59-01:00"), "refused"],
  ]) {
    assert.equal(session.decide("refund", {}, { today }).verdict, wanted, String(today));
    assert.equal(refund.expired(today), wanted === "refused");
    assert.equal(session.resolve("refund", { today }) === null, wanted === "refused");
  }
  const always = session.candidates("crm__lookup")[0] ?? refund;
  for (const today of [null, 0, Date.now(), "", "tomorrow", "2026-7-1", "2026-13-01", "20260701", {}, [], true, new Date(NaN), new Date(8.64e15)]) {
    for (const ask of [
      () => session.decide("refund", {}, { today }), () => session.resolve("refund", { today }), () => session.allows("refund", { today }),
      () => session.toolSchemas({ today }), () => refund.expired(today), () => always.expired(today),
    ]) {
      assert.throws(ask, ensign.InvalidArgument, String(today));
    }
  }
});

// ----------------------------------------------------------------------------------------------------- command line

test("it prints the route as JSON, with the exit status of ensign", () => {
  const program = fileURLToPath(new URL("ensign.mjs", import.meta.url));
  const run = (...given) => spawnSync(process.execPath, [program, ...given], { encoding: "utf8" });
  const [digest] = deploy(makeBundle());
  const { status, stdout, stderr } = run(live, AGENT, "--key", "Zoë");
  assert.deepEqual([status, stderr], [0, ""]);
  assert.deepEqual(JSON.parse(stdout), {
    agent: AGENT, environment: "prod", phase: "stable", version: "1.4.0", digest, bucket: ensign.bucket(AGENT, digest, "Zoë"),
  }); // prettier-ignore
  assert.equal(run(live, "it/none").status, 1);
  assert.equal(run(live, "../x").status, 64);
  assert.equal(run(live).status, 64);
  setRoute({ phase: "halted" });
  assert.equal(run(live, AGENT).status, 4);
  write(routePath(), "{}");
  assert.equal(run(live, AGENT).status, 5);
});
