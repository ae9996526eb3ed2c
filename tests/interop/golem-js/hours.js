// Hours of work on whoever is there: it begins again when its provider leaves, and ends ten minutes later. In virtual time only.
const { GolemNetwork } = require("@golem-sdk/golem-js");
const { main } = require("./support");

const began = Date.now();
const say = (what) => console.log(`${what} after ${((Date.now() - began) / 3600e3).toFixed(1)} h`);

main(GolemNetwork, async (glm) => {
  const order = {
    demand: {
      workload: { imageHash: "d1ac20fe68acc37eba301878b0f6ab24929cf5f985ef420f6c479b14", imageUrl: "http://127.0.0.1:9/image.gvmi", minCpuThreads: 1, minMemGib: 0.5, minStorageGib: 2 },
      expirationSec: 3600,
      payment: { midAgreementDebitNoteIntervalSec: 3600, midAgreementPaymentTimeoutSec: 12 * 3600 },
    },
    market: { rentHours: 20, pricing: { model: "linear", maxStartPrice: 1, maxCpuPerHourPrice: 1, maxEnvPerHourPrice: 1 } },
  };
  let rentals = 0;
  while (rentals < 2) {
    const rental = await glm.oneOf({ order, signalOrTimeout: 5 * 3600e3 });
    rentals++;
    console.log(`agreement with ${rental.agreement.provider.name}`);
    say(`on ${rental.agreement.provider.name}`);
    const left = new Promise((resolve) => glm.market.events.on("agreementTerminated", resolve));
    const exe = await rental.getExeUnit();
    const work = (async () => {
      for (;;) {
        await exe.run("echo alive");
        await new Promise((resolve) => setTimeout(resolve, 300e3));
      }
    })();
    const enough = new Promise((resolve) => rentals === 2 && setTimeout(resolve, 600e3, "enough"));
    const why = await Promise.race([left, work.catch(() => left), enough]);
    say(why === "enough" ? "enough" : "left");
    await rental.stopAndFinalize().catch((error) => console.log(`not finished: ${error.message}`));
  }
  console.log(`rentals: ${rentals}`);
});
