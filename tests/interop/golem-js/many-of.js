// A pool of three machines, nine jobs.
const { GolemNetwork } = require("@golem-sdk/golem-js");
const { main, order } = require("./support");

main(GolemNetwork, async (glm) => {
  const providers = new Set();
  let setups = 0;
  const pool = await glm.manyOf({
    poolSize: { min: 1, max: 3 },
    order: order(),
    setup: async (exe) => {
      setups += 1;
      await exe.run("echo prepared > /golem/work/state");
    },
  });
  pool.events.on("created", ({ agreement }) => console.log(`agreement with ${agreement.provider.name}`));
  const results = await Promise.all(
    [1, 2, 3, 4, 5, 6, 7, 8, 9].map((number) =>
      pool.withRental(async (rental) => {
        const exe = await rental.getExeUnit();
        providers.add(exe.provider.id);
        const result = await exe.run(`cat /golem/work/state; echo ${number * number}`);
        return result.stdout.trim().replace("\n", " ");
      }),
    ),
  );
  console.log(`results: ${results.join(", ")}`);
  console.log(`machines: ${providers.size} of ${setups}`);
  await pool.drainAndClear();
  console.log(`left in the pool: ${pool.getSize()}`);
});
