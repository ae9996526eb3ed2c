// A provider that is not paid within the twelve hours that were agreed, and goes. In virtual time only.
const { GolemNetwork } = require("@golem-sdk/golem-js");
const { main } = require("./support");

const began = Date.now();

main(GolemNetwork, async (glm) => {
  const order = {
    demand: {
      workload: { imageHash: "d1ac20fe68acc37eba301878b0f6ab24929cf5f985ef420f6c479b14", imageUrl: "http://127.0.0.1:9/image.gvmi" },
      payment: { midAgreementDebitNoteIntervalSec: 3600, midAgreementPaymentTimeoutSec: 12 * 3600 },
    },
    market: { rentHours: 20, pricing: { model: "linear", maxStartPrice: 1, maxCpuPerHourPrice: 1, maxEnvPerHourPrice: 1 } },
  };
  const rental = await glm.oneOf({ order });
  console.log(`agreement with ${rental.agreement.provider.name}`);
  const left = new Promise((resolve) => glm.market.events.on("agreementTerminated", resolve));
  const exe = await rental.getExeUnit();
  await exe.run("echo worked");
  await rental.destroyExeUnit();
  const { reason } = await left;
  console.log(`left after ${((Date.now() - began) / 3600e3).toFixed(1)} h: ${/was not paid in time/.test(reason) ? "not paid" : reason}`);
  await rental.stopAndFinalize();
});
