import { createRequire } from "node:module";
import { HexahubPlatform } from "./platform.js";

/*
 * JavaScript with its types in comments: Node strips the types of no file below node_modules, where a plugin is installed.
 */

/** @type {{ readonly name: string, readonly version: string }} */
const packageJson = createRequire(import.meta.url)("../package.json");

/** @param {import("homebridge-lib/Platform").Homebridge} homebridge */
// oxlint-disable-next-line import/no-default-export -- what Homebridge calls
export default function load(homebridge) {
  HexahubPlatform.loadPlatform(homebridge, packageJson, "Hexahub", HexahubPlatform);
}
