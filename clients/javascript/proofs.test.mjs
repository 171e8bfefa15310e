// Tests of what ensign.mjs believes with keys. Run with `node --test` and this file.

import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import {
  existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, unlinkSync, utimesSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, beforeEach, test } from "node:test";
import { Worker } from "node:worker_threads";

import { AgentHalted, Fleet, FleetUnavailable, InvalidKeys, main, parseKeys, prove, Unproven } from "./ensign.mjs";

const AGENT = "support/refund-triage";
const ROUTE = `agents/${AGENT}.json`;
const root = mkdtempSync(path.join(tmpdir(), "ensign proofs "));
after(() => rmSync(root, { recursive: true }));

const string = (data) => {
  const bytes = Buffer.from(data);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!value || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}

class Signer {
  constructor(environment = "prod") {
    const pair = generateKeyPairSync("ed25519");
    this.environment = environment;
    this.key = pair.privateKey;
    this.blob = Buffer.concat([string("ssh-ed25519"), string(pair.publicKey.export({ format: "der", type: "spki" }).subarray(12))]);
  }

  line(namespaces = "git,ensign-live") {
    return `${this.environment}@ensign.invalid namespaces="${namespaces}" ssh-ed25519 ${this.blob.toString("base64")}\n`;
  }

  sign(value, entry) {
    const message = `${canonical({ ...value, proof: { entry } })}\n`;
    const parts = ["ensign-live", "", "sha512"].map(string);
    const signed = Buffer.concat([Buffer.from("SSHSIG"), ...parts, string(createHash("sha512").update(message).digest())]);
    const inner = Buffer.concat([string("ssh-ed25519"), string(sign(null, signed, this.key))]);
    const blob = Buffer.concat([Buffer.from("SSHSIG\0\0\0\x01", "latin1"), string(this.blob), ...parts, string(inner)]);
    const lines = blob.toString("base64").replace(/(.{70})/g, "$1\n");
    const signature = `-----BEGIN SSH SIGNATURE-----\n${lines}\n-----END SSH SIGNATURE-----\n`.replace("\n\n", "\n");
    return `${canonical({ ...value, proof: { entry, signature } })}\n`;
  }
}

const signer = new Signer();
const other = new Signer();
let live;
let number = 0;
let digest;

function write(place, data) {
  const target = path.join(live, place);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(`${target}.new`, data);
  renameSync(`${target}.new`, target);
}

function heard({ entry = 9, ago = 0, by = signer } = {}) {
  const when = `${new Date(Date.now() - ago * 1_000).toISOString().slice(0, 19)}Z`;
  const header = { environment: "prod", entry: { seq: entry }, counts: { agents: 1 }, heard: when, v: 1 };
  write("fleet.json", by.sign(header, entry));
}

const value = () => ({ agent: AGENT, environment: "prod", phase: "stable", routes: [{ version: "1.4.0", digest, weight: 100 }] });
const halted = { agent: AGENT, environment: "prod", phase: "halted", routes: [] };

function route(entry, by = signer) {
  const data = by.sign(value(), entry);
  write(ROUTE, data);
  return data;
}

const fleet = (options = {}) => new Fleet(live, { keys: signer.line(), warn() {}, ...options });

beforeEach(() => {
  live = path.join(root, `live ${(number += 1)}`);
  const bundle = `${canonical({
    agent: AGENT, version: "1.4.0", environment: "prod", artifact: `sha256:${"a".repeat(64)}`, owner: "support", identity: "x",
    description: "d", labels: {}, model: null, instructions: "Be brief.", contract: {}, tools: [], delegates: [],
    autonomy: "full", limits: {}, runtime: { kind: "x" },
  })}\n`;
  digest = `sha256:${createHash("sha256").update(bundle).digest("hex")}`;
  write(`bundles/${digest.slice(7, 9)}/${digest.slice(9)}.json`, bundle);
  heard();
  route(9);
});

test("verdicts are those of the committed vectors", () => {
  const vectors = JSON.parse(readFileSync(new URL("../../Tests/Vectors/live-proof.json", import.meta.url), "utf8"));
  const keys = parseKeys(vectors.keys);
  for (const each of vectors.cases) {
    let found;
    try {
      found = ["proven", prove(Buffer.from(each.text), each.file, each.environment, keys).entry];
    } catch (problem) {
      found = [problem.code, null];
    }
    assert.deepEqual(found, [each.verdict, each.entry], each.name);
  }
});

test("what is signed opens sessions, and what is not opens none", async () => {
  const one = fleet();
  const session = await one.session(AGENT, { key: "a" });
  const good = readFileSync(path.join(live, ROUTE), "utf8");
  for (const bad of [
    `${canonical(value())}\n`,
    other.sign(value(), 10),
    good.replace('"entry":9', '"entry":10'),
    good.replace("1.4.0", "1.4.1"),
  ]) {
    assert.notEqual(bad, good);
    write(ROUTE, bad);
    await assert.rejects(one.session(AGENT), Unproven);
    await assert.rejects(one.route(AGENT), Unproven);
    await assert.rejects(session.raiseIfHalted(), Unproven);
    assert.equal((await new Fleet(live).route(AGENT)).phase, "stable");
  }
  write(ROUTE, good);
  await session.raiseIfHalted();
});

test("a halt needs no proof, and with one takes back what was before", async () => {
  const one = fleet();
  await one.session(AGENT);
  const good = readFileSync(path.join(live, ROUTE), "utf8");
  for (const halt of [`${canonical(halted)}\n`, other.sign(halted, 99), signer.sign(halted, 12)]) {
    write(ROUTE, halt);
    assert.equal((await one.route(AGENT)).phase, "halted");
    await assert.rejects(one.session(AGENT), AgentHalted);
  }
  write(ROUTE, good);
  await assert.rejects(one.session(AGENT), Unproven);
  route(13);
  await one.session(AGENT);
});

test("an older route or header is refused, also by the next process", async () => {
  const state = `${live}.seen`;
  const older = route(9);
  await fleet({ state }).session(AGENT);
  route(11);
  const one = fleet({ state });
  await one.session(AGENT);
  write(ROUTE, older);
  await assert.rejects(one.session(AGENT), /entry 9, and one of entry 11/);
  await assert.rejects(fleet({ state }).session(AGENT), Unproven);
  await fleet().session(AGENT);
  route(20);
  await fleet({ state }).session(AGENT);
  route(15);
  await assert.rejects(one.session(AGENT), Unproven);
  route(20);
  heard({ entry: 12 });
  await one.session(AGENT);
  heard({ entry: 11 });
  await assert.rejects(one.session(AGENT), /fleet\.json/);
  for (const damage of ["{}", '{"v":2,"seen":{}}', "x"]) {
    writeFileSync(state, damage);
    assert.throws(() => fleet({ state }), FleetUnavailable);
  }
  await assert.rejects(fleet({ state: path.join(live, "no", "seen") }).session(AGENT), FleetUnavailable);
});

test("programs that share what was seen lose nothing of it", { timeout: 60_000 }, async () => {
  const names = ["a", "b", "c", "d"].map((name) => `support/${name}`);
  const script = `
    const { parentPort, workerData } = require("node:worker_threads");
    import(workerData.client).then(async ({ Fleet }) => {
      const { live, keys, state, agent, gate } = workerData;
      const fleet = new Fleet(live, { keys, state, warn() {} });
      parentPort.postMessage("ready");
      Atomics.wait(gate, 0, 0);
      await fleet.route(agent);
      parentPort.postMessage("done");
    });`;
  const client = new URL("ensign.mjs", import.meta.url).href;
  for (let round = 0; round < 8; round += 1) {
    const state = `${live}.seen ${round}`;
    for (const name of names) write(`agents/${name}.json`, signer.sign({ ...value(), agent: name }, 20 + round));
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const workers = names.map(
      (agent) => new Worker(script, { eval: true, workerData: { client, live, keys: signer.line(), state, agent, gate } }),
    );
    await Promise.all(workers.map((worker) => once(worker, "message")));
    const done = Promise.all(workers.map((worker) => once(worker, "exit")));
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    await done;
    const { seen } = JSON.parse(readFileSync(state, "utf8"));
    for (const name of names) assert.equal(seen[`agents/${name}.json`]?.entry, 20 + round, `${name} in round ${round}`);
    assert.ok(!existsSync(`${state}.writing`));
  }
});

test("the lock of a program that ended in the middle is taken over, and one that is held is waited for", async () => {
  const state = `${live}.seen`;
  writeFileSync(`${state}.writing`, "");
  utimesSync(`${state}.writing`, 1, 1);
  await fleet({ state }).session(AGENT);
  assert.ok(!existsSync(`${state}.writing`));
  route(12);
  const release = new Worker(
    `const { workerData } = require("node:worker_threads");
    setTimeout(() => require("node:fs").unlinkSync(workerData), 200);`,
    { eval: true, workerData: `${state}.writing` },
  );
  const ended = once(release, "exit");
  writeFileSync(`${state}.writing`, "");
  await once(release, "online");
  await fleet({ state }).session(AGENT);
  assert.equal(JSON.parse(readFileSync(state, "utf8")).seen[ROUTE].entry, 12);
  await ended;
});

test("a host that was not heard is refused where that is asked for", async () => {
  heard({ ago: 600 });
  await fleet().session(AGENT);
  await assert.rejects(fleet({ maxAge: 300 }).session(AGENT), /last heard 60\d s ago/);
  heard({ ago: 10 });
  await fleet({ maxAge: 300 }).session(AGENT);
  heard({ by: other });
  await assert.rejects(fleet().session(AGENT), Unproven);
  // One who follows the ledger cannot sign: nobody who has seen a proven header takes that for the host's.
  const one = fleet();
  const bare = '{"environment":"prod"}\n';
  write("fleet.json", bare);
  await one.session(AGENT);
  await assert.rejects(fleet({ maxAge: 300 }).session(AGENT), Unproven);
  heard();
  await one.session(AGENT);
  write("fleet.json", bare);
  await assert.rejects(one.session(AGENT), Unproven);
  unlinkSync(path.join(live, "fleet.json"));
  await assert.rejects(fleet().session(AGENT), FleetUnavailable);
});

test("keys are read again when their file changes", async () => {
  const keys = `${live}.keys`;
  writeFileSync(keys, signer.line());
  process.env.ENSIGN_KEYS = keys;
  const one = new Fleet(live, { warn() {} });
  delete process.env.ENSIGN_KEYS;
  await one.session(AGENT);
  writeFileSync(keys, signer.line() + other.line());
  route(15, other);
  await one.session(AGENT);
  for (const entry of [14, 15]) {
    route(entry);
    await assert.rejects(one.session(AGENT), Unproven);
  }
  writeFileSync(keys, other.line());
  heard({ by: other });
  route(16);
  await assert.rejects(one.session(AGENT), Unproven);
  route(17, other);
  await one.session(AGENT);
  // A new ledger with a new key begins at 0: what was seen under a key that is gone does not count.
  writeFileSync(keys, signer.line());
  heard({ entry: 2 });
  route(3);
  await one.session(AGENT);
  writeFileSync(keys, "nonsense");
  await assert.rejects(one.session(AGENT), InvalidKeys);
});

test("keys that cannot be used are refused at once", async () => {
  const line = signer.line();
  const dev = line.replace("prod@", "dev@");
  for (const keys of [
    "",
    "/no/such/file",
    `${line}x\n`,
    signer.line("git"),
    line.replace("namespaces", 'valid-before="20300101",namespaces'),
    line.replace("AAAA", "AAA"),
    line.replace("prod@", "*@"),
    line + dev,
    dev.replace("dev@ensign.invalid", "somebody"),
  ]) {
    assert.throws(() => new Fleet(live, { keys }), InvalidKeys, keys);
  }
  assert.throws(() => new Fleet(live, { keys: dev, environment: "prod" }), InvalidKeys);
  assert.throws(() => new Fleet(live, { state: "seen" }), InvalidKeys);
  await new Fleet(live, { keys: line + dev, environment: "prod" }).session(AGENT);
});

test("the command line takes keys", async () => {
  const keys = `${live}.keys`;
  writeFileSync(keys, signer.line());
  const ask = () => main([live, AGENT, "--key", "a", `--keys=${keys}`], () => {}, () => {});
  assert.equal(await ask(), 0);
  write(ROUTE, `${canonical(value())}\n`);
  assert.equal(await ask(), 5);
  writeFileSync(keys, "x");
  assert.equal(await ask(), 64);
});
