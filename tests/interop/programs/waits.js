// Everything that waits in a Node program of the usual kinds, with nothing of npm.
const { setTimeout: wait } = require("node:timers/promises");
const { promisify } = require("node:util");
const { spawn, execFileSync } = require("node:child_process");
const { once } = require("node:events");

const began = Date.now();
const say = (what) => console.log(`${what}: ${((Date.now() - began) / 1000).toFixed(3)}`);

(async () => {
  say("began");
  await wait(3600e3);
  await promisify(setTimeout)(400e3);
  say("slept");
  let ticks = 0;
  await new Promise((resolve) => {
    const timer = setInterval(() => ++ticks === 5 && resolve(clearInterval(timer)), 10e3);
  });
  say(`ticks ${ticks}`);
  const headers = { Authorization: `Bearer ${process.env.YAGNA_APPKEY}` };
  const poll = (seconds, signal) => fetch(`${process.env.YAGNA_API_URL}/market-api/v1/agreementEvents?timeout=${seconds}`, { headers, signal });
  console.log(`answer: ${await (await poll(40)).text()}`);
  say("long poll");
  console.log(await poll(60, AbortSignal.timeout(5e3)).catch((error) => error.name));
  say("aborted");
  const child = spawn(process.execPath, ["-e", "setTimeout(() => {}, 100e3)"]);
  await once(child, "exit");
  say("child");
  execFileSync("sh", ["-c", "sleep 0.05"]);
  await once(spawn("sh", ["-c", "sleep 0.05"]), "exit");
  say("shell");
  console.log("done");
})();
