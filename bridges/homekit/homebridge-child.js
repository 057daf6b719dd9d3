/*
 * What runs Homebridge below the hub. JavaScript, so that a child does not load what strips types.
 */

const leave = () => process.exit(0);
// Before everything else: a hub that is killed while Homebridge starts would leave it behind.
process.on("disconnect", leave);
// Who listens for the end of the channel is kept alive by it.
process.channel?.unref();
if (!process.connected) leave();

await import(String(new URL("../bin/homebridge.js", import.meta.resolve("homebridge"))));
