import { test } from "node:test";
import { databases } from "../support/databases.ts";
import { assertRows, testMatrix } from "./matrix-routes.ts";

test("every route has its row, and every row its route", assertRows);

for (const database of databases().filter(({ name }) => name === "SQLite")) testMatrix(database);
