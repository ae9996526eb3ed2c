// Runs a program of this package in place of this process, as far as Node can: its signals, its exit code.
const { spawn } = require("node:child_process");
const { program } = require("./index.js");

module.exports = (name) => {
  let path;
  try {
    path = program(name);
  } catch (error) {
    console.error(error.message);
    process.exit(2);
  }
  const child = spawn(path, process.argv.slice(2), { stdio: "inherit" });
  // A terminal's Ctrl-C reaches both; this one waits for the other.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`cannot run ${path}: ${error.message}`);
    process.exit(2);
  });
  child.on("exit", (code, signal) => {
    if (signal) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else process.exit(code);
  });
};
