import { databases } from "../support/databases.ts";
import { testMatrix } from "./matrix-routes.ts";

for (const database of databases().filter(({ name }) => name !== "SQLite")) testMatrix(database);
