// What is cut short: a rental, a command, a stream that fails; the machine is then made anew.
const { GolemNetwork } = require("@golem-sdk/golem-js");
const { main, order } = require("./support");

main(GolemNetwork, async (glm) => {
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 200);
  const unsigned = await glm.oneOf({ order: order(), signalOrTimeout: abort.signal }).catch((error) => error.message);
  console.log(`rental: ${unsigned}`);

  let prepared = 0;
  const rental = await glm.oneOf({
    order: order(),
    setup: async (exe) => {
      prepared += 1;
      await exe.run("echo prepared > /golem/work/state");
    },
    teardown: async (exe) => void (await exe.run("rm /golem/work/state")),
  });
  console.log(`agreement with ${rental.agreement.provider.name}`);
  const exe = await rental.getExeUnit();
  const long = await exe.run("sleep 60", { signalOrTimeout: 500 }).catch((error) => error.constructor.name);
  console.log(`command: ${long}`);
  // The machine still sleeps.
  const busy = await exe.run("echo too early");
  console.log(`meanwhile: ${busy.result}`);
  await rental.destroyExeUnit();

  const fresh = await rental.getExeUnit();
  console.log(`again: ${(await fresh.run("cat /golem/work/state")).stdout.trim()}, prepared: ${prepared}`);
  const stream = await fresh.beginBatch().run("echo first").run("echo second >&2; exit 9").endStream();
  await new Promise((resolve) => {
    stream.subscribe({
      next: (result) => console.log(`stream: ${result.index} ${result.result} ${String(result.stdout).trim()}`),
      complete: resolve,
      error: (error) => resolve(console.log(`stream: ${error.message.trim()}`)),
    });
  });
  await rental.stopAndFinalize();
  console.log(`agreement: ${await rental.fetchAgreementState()}`);
  // golem-js would go on asking for the results of the command that was cut short.
}).then(() => process.exit());
