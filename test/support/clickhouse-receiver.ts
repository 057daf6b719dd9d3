import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export interface ReceivedInsert {
  readonly table: string;
  /** undefined for one that may be repeated. */
  readonly token: string | undefined;
  readonly rows: readonly (readonly unknown[])[];
}

/** What it does with an INSERT: take it, take it and lose the answer, refuse its data, or never answer. */
export type Behaviour = "take" | "lose" | "refuse" | "hang";

export interface ClickhouseReceiver extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Every INSERT that it has heard of, repetitions too. */
  readonly inserts: ReceivedInsert[];
  /** Other statements that change something. */
  readonly statements: string[];
  behave: (insert: ReceivedInsert) => Behaviour;
  /** To a question: a line of JSON for each row, or an error of ClickHouse's. As it is, there is the database and nothing else. */
  tell: (question: string) => string | ClickhouseRefusal;
  /** What the table has: an INSERT whose token is known changed nothing. */
  rows(table: string): (readonly unknown[])[];
}

export interface ClickhouseRefusal {
  readonly code: string;
  readonly message: string;
}

/** Takes over HTTP what is meant for ClickHouse, and does with tokens what that does; test/clickhouse has the real engine. */
export async function startClickhouseReceiver(port = 0): Promise<ClickhouseReceiver> {
  const inserts: ReceivedInsert[] = [];
  const statements: string[] = [];
  const taken: ReceivedInsert[] = [];
  const receiver: Pick<ClickhouseReceiver, "behave" | "tell"> = {
    behave: () => "take",
    tell: (question) => (/system\.databases/.test(question) ? '{"1":1}\n' : ""),
  };
  const refuse = (response: ServerResponse, { code, message }: ClickhouseRefusal): void =>
    void response.writeHead(400, { "x-clickhouse-exception-code": code }).end(`Code: ${code}. DB::Exception: ${message}\n`);
  const onInsert = (insert: ReceivedInsert, response: ServerResponse): void => {
    inserts.push(insert);
    const behaviour = receiver.behave(insert);
    if (behaviour === "hang") return;
    if (behaviour === "refuse")
      return refuse(response, { code: "27", message: "Cannot parse input. (CANNOT_PARSE_INPUT_ASSERTION_FAILED)" });
    if (insert.token === undefined || taken.every(({ token }) => token !== insert.token)) taken.push(insert);
    if (behaviour === "lose") response.destroy();
    else response.end();
  };
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? "/", "http://receiver");
    buffer(request).then(
      (body) => {
        const text = body.toString() || (searchParams.get("query") ?? "");
        const table = /^insert into `\w+`\.(\w+)/.exec(searchParams.get("query") ?? "")?.[1];
        const token = searchParams.get("insert_deduplication_token") ?? undefined;
        if (table !== undefined)
          return onInsert({ table, token, rows: text.split("\n").map((line) => JSON.parse(line) as unknown[]) }, response);
        if (!/^(?:select|check)/i.test(text)) statements.push(text);
        const told = receiver.tell(text);
        if (typeof told === "string") response.end(told);
        else refuse(response, told);
      },
      () => response.destroy(),
    );
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const at = (server.address() as AddressInfo).port;
  return Object.assign(receiver, {
    url: `http://127.0.0.1:${at}/hexahub`,
    port: at,
    inserts,
    statements,
    rows: (table: string) => taken.filter((one) => one.table === table).flatMap(({ rows }) => [...rows]),
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  });
}
