// One machine: commands, a batch, a stream, a failing command, then the bill.
const { GolemNetwork } = require("@golem-sdk/golem-js");
const { main, order } = require("./support");

main(GolemNetwork, async (glm) => {
  const rental = await glm.oneOf({ order: order() });
  console.log(`agreement with ${rental.agreement.provider.name}`);
  const exe = await rental.getExeUnit();
  const greeting = await exe.run("echo hello from $GREETER", { env: { GREETER: "golem-js" } });
  console.log(`run: ${greeting.result} ${greeting.stdout.trim()}`);

  const failing = await exe.run("echo oops >&2; exit 5");
  console.log(`failing: ${failing.result} ${failing.stderr.trim()} ${failing.message}`);

  const batch = await exe.beginBatch().run("echo first").run("/bin/sh", ["-c", "echo second"]).run("echo third").end();
  console.log(`batch: ${batch.map((result) => `${result.index} ${result.stdout.trim()}`).join(", ")}`);

  const process = await exe.runAndStream("echo streamed; echo beside >&2");
  process.stdout.subscribe((chunk) => console.log(`stdout: ${String(chunk).trim()}`));
  process.stderr.subscribe((chunk) => console.log(`stderr: ${String(chunk).trim()}`));
  const exit = await process.waitForExit(20_000);
  console.log(`stream: ${exit.result}`);

  await rental.stopAndFinalize();
  console.log(`agreement: ${await rental.fetchAgreementState()}`);
});
