/**
 * ClickHouse's engine behind its HTTP interface, as far as the hub's client needs it: `engine-child.ts <port> <data folder>`. The engine is
 * npm's chdb, which has no server of its own. Prints `listening` when it is ready.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";

interface Session {
  query(sql: string, options?: { format: string }): unknown;
  queryAsync(sql: string, options: { format: string }): Promise<{ bytes(): Uint8Array; rowsRead: number }>;
}

const [port, folder] = process.argv.slice(2);
if (port === undefined || folder === undefined) throw new Error("usage: engine-child.ts <port> <data folder>");
// Installed where it is needed only: the compiler does not find it.
const engine = "chdb";
const { Session } = (await import(engine)) as { Session: new (folder: string) => Session };
const session = new Session(folder);

/** Of the interface; everything else in the query string is a setting of the engine. */
const OF_HTTP = new Set([
  "query",
  "query_id",
  "database",
  "default_format",
  "session_id",
  "wait_end_of_query",
  "enable_http_compression",
  "role",
]);
const STATUS: Readonly<Record<string, number>> = { 60: 404, 81: 404, 516: 403, 497: 403, 159: 408, 202: 503 };

// Settings and parameters are the session's: one request after the other.
let last: Promise<unknown> = Promise.resolve();
function exclusively<T>(work: () => Promise<T>): Promise<T> {
  const done = last.then(work, work);
  last = done.catch(() => undefined);
  return done;
}

const quoted = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

async function execute(params: URLSearchParams, body: Buffer): Promise<Buffer> {
  const query = params.get("query");
  const statement = query ?? body.toString();
  const settings = [...params].filter(([name]) => !OF_HTTP.has(name) && /^\w+$/.test(name));
  try {
    for (const [name, value] of settings) session.query(`SET ${name} = ${quoted(value)}`);
    const format = /\bFORMAT\s+(\w+)\s*;?\s*$/i.exec(statement)?.[1] ?? "TabSeparated";
    const result = await session.queryAsync(query === null ? statement : `${query}\n${body.toString()}`, { format });
    return Buffer.from(result.bytes());
  } finally {
    for (const [name] of settings) if (!name.startsWith("param_")) session.query(`SET ${name} = DEFAULT`);
  }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { searchParams } = new URL(request.url ?? "/", "http://engine");
  const body = await buffer(request);
  try {
    const found = await exclusively(() => execute(searchParams, body));
    response
      .writeHead(200, { "content-type": "text/plain; charset=UTF-8", "x-clickhouse-query-id": searchParams.get("query_id") ?? "" })
      .end(found);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const told = /Code: \d+\. DB::Exception[\s\S]*/.exec(message)?.[0] ?? `Code: 1000. DB::Exception: ${message} (POCO_EXCEPTION)`;
    const code = /Code: (\d+)/.exec(told)?.[1] ?? "1000";
    response.writeHead(STATUS[code] ?? 500, { "x-clickhouse-exception-code": code }).end(`${told}\n`);
  }
}

const server = createServer((request, response) => {
  // A request that ends in the middle is nobody's.
  answer(request, response).catch(() => response.destroy());
});
server.listen(Number(port), "127.0.0.1", () => process.stdout.write("listening\n"));
