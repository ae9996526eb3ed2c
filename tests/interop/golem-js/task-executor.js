// The task executor: eight tasks, at most three at once, one of which fails once and is tried again.
const { GolemWorkError, WorkErrorCode } = require("@golem-sdk/golem-js");
const { TaskExecutor } = require("@golem-sdk/task-executor");
const { order, watch } = require("./support");

(async () => {
  let failures = 0;
  const executor = await TaskExecutor.create({
    ...order(),
    task: {
      maxParallelTasks: 3,
      maxTaskRetries: 2,
      setup: async (exe) => void (await exe.run("echo prepared > /golem/work/state")),
    },
    skipProcessSignals: true,
  });
  watch(executor.glm);
  try {
    executor.glm.market.events.on("agreementApproved", ({ agreement }) => console.log(`agreement with ${agreement.provider.name}`));
    const results = await Promise.all(
      [1, 2, 3, 4, 5, 6, 7, 8].map((number) =>
        executor.run(async (exe) => {
          if (number === 4 && failures === 0) {
            failures += 1;
            throw new GolemWorkError("once", WorkErrorCode.Unknown); // only such errors are tried again
          }
          const result = await exe.run(`cat /golem/work/state; echo ${number * 10}`);
          return result.stdout.trim().replace("\n", " ");
        }),
      ),
    );
    console.log(`results: ${results.join(", ")}`);
  } finally {
    await executor.shutdown();
  }
  const stats = executor.getStats();
  console.log(`failures: ${failures}, retries: ${stats.retries}`);
  console.log(`agreements: ${stats.agreements}, paid: ${stats.invoicesPaid}, missing: ${stats.invoicesMissing}`);
  console.log("done");
})().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
