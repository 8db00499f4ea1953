// MQTT.js as a command: what tests/it/interop.rs asks of a client, in the same words as paho_client.py.

"use strict";

const fs = require("node:fs");
const { parseArgs } = require("node:util");
const mqtt = require("mqtt");

const PATIENCE = 20_000;

const text = { type: "string" };
const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: text,
    version: text,
    "client-id": text,
    ca: text,
    cert: text,
    key: text,
    user: text,
    password: text,
    topic: text,
    qos: { type: "string", default: "0" },
    retain: { type: "boolean", default: false },
    count: { type: "string", default: "1" },
  },
});
const task = positionals[0];
const qos = Number(args.qos);

function fail(message) {
  console.error(message);
  process.exit(1);
}

function read(path) {
  return path === undefined ? undefined : fs.readFileSync(path);
}

const client = mqtt.connect({
  protocol: "mqtts",
  host: "localhost",
  port: Number(args.port),
  protocolVersion: args.version === "5" ? 5 : 4,
  clientId: args["client-id"],
  ca: read(args.ca),
  cert: read(args.cert),
  key: read(args.key),
  username: args.user,
  password: args.password,
  reconnectPeriod: 0,
  connectTimeout: PATIENCE,
  will: task === "linger" ? { topic: args.topic, payload: "gone", qos, retain: args.retain } : undefined,
});
client.on("error", (error) => fail(error.message));

function subscribe() {
  let left = Number(args.count);
  client.on("message", (_topic, payload) => {
    console.log(payload.toString("hex"));
    left -= 1;
    if (left === 0) {
      client.end();
    }
  });
  client.subscribe(args.topic, { qos }, (error) => (error ? fail(error.message) : console.log("ready")));
}

async function publish() {
  const lines = fs.readFileSync(0, "utf8").split("\n").slice(0, -1);
  for (const line of lines) {
    await client.publishAsync(args.topic, Buffer.from(line, "hex"), { qos, retain: args.retain });
  }
  await client.endAsync();
}

const tasks = { subscribe, publish, linger: () => console.log("ready") };
client.once("connect", () => tasks[task]());
if (task !== "linger") {
  setTimeout(() => fail("not done in time"), PATIENCE).unref();
}
