import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { test } from "node:test";
import pg from "pg";
import {
  findProgram,
  freshDatabase,
  mosquittoMissing,
  pahoMissing,
  postgresMissing,
  pythonWithPaho,
  redisMissing,
  startMosquitto,
  startPostgres,
  startRedis,
} from "../support/services.ts";
import { until } from "../support/wait.ts";

test("PostgreSQL starts, answers on a fresh database, and is gone after the block", { skip: postgresMissing() }, async () => {
  let pid = 0;
  {
    await using server = await startPostgres(["max_connections=33"]);
    pid = server.pid;
    const url = await freshDatabase(server);
    assert.notEqual(url, await freshDatabase(server));
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query("select current_setting('max_connections') as max, current_database() as name");
    await client.end();
    assert.deepEqual(rows, [{ max: "33", name: new URL(url).pathname.slice(1) }]);
  }
  assert.equal(isAlive(pid), false);
});

test("Redis starts with arguments and is gone after the block", { skip: redisMissing() }, async () => {
  let pid = 0;
  {
    await using server = await startRedis(["--maxmemory", "64mb"]);
    pid = server.pid;
    assert.match(await askRedis(server.port, "CONFIG GET maxmemory"), /67108864/);
  }
  assert.equal(isAlive(pid), false);
});

test("mosquitto starts with configuration lines and carries a retained message", { skip: mosquittoMissing() }, async () => {
  await using server = await startMosquitto(["max_packet_size 1000"]);
  const address = ["-h", "127.0.0.1", "-p", String(server.port), "-t", "hall/light"];
  execFileSync(findProgram("mosquitto_pub") ?? "", [...address, "-m", "ON", "-r", "-q", "1"], { timeout: 10_000 });
  const got = execFileSync(findProgram("mosquitto_sub") ?? "", [...address, "-C", "1", "-W", "5"], { timeout: 10_000, encoding: "utf8" });
  assert.equal(got, "ON\n");
});

test("a service that cannot start says why", { skip: mosquittoMissing() }, async () => {
  await assert.rejects(startMosquitto(["no_such_setting 1"]), /no_such_setting/);
});

test("the Python that is offered can import paho", { skip: pahoMissing() }, () => {
  assert.equal(execFileSync(pythonWithPaho() ?? "", ["-c", "import paho.mqtt.client; print('ok')"], { encoding: "utf8" }), "ok\n");
});

const tetherMissing = process.platform === "linux" && findProgram("setpriv") ? mosquittoMissing() : "setpriv is not here";

test("a service dies with the process that started it, also by SIGKILL", { skip: tetherMissing }, async () => {
  const services = new URL("../support/services.ts", import.meta.url).href;
  const code = `const { startMosquitto } = await import(${JSON.stringify(services)}); console.log((await startMosquitto()).pid); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const pid = Number(line.toString());
  assert.equal(isAlive(pid), true);
  child.kill("SIGKILL");
  await until(() => !isAlive(pid), { what: "the service to follow its parent" });
});

/** False also for a zombie, which is dead but not yet reaped. */
function isAlive(pid: number): boolean {
  const file = `/proc/${pid}/stat`;
  if (process.platform === "linux") return existsSync(file) && !readFileSync(file, "utf8").includes(") Z ");
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function askRedis(port: number, command: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(`${command}\r\n`);
  const [answer] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return answer.toString();
}
