// Looks at the market without renting anything.
const { GolemNetwork } = require("@golem-sdk/golem-js");
const { main } = require("./support");

function scan(glm, spec, enough) {
  return new Promise((resolve, reject) => {
    const offers = new Map();
    const subscription = glm.market.scan(spec).subscribe({
      next: (offer) => {
        offers.set(offer.provider.id, offer);
        if (offers.size === enough) {
          subscription.unsubscribe();
          resolve([...offers.values()]);
        }
      },
      error: reject,
    });
    setTimeout(() => {
      subscription.unsubscribe();
      resolve([...offers.values()]);
    }, 3000).unref();
  });
}

main(GolemNetwork, async (glm) => {
  const all = glm.market.buildScanSpecification({
    workload: { runtime: { name: "vm" }, capabilities: ["vpn", "inet", "manifest-support"] },
    payment: { network: "holesky" },
  });
  const offers = await scan(glm, all, 8);
  console.log(`offers: ${offers.length}`);
  console.log(`names: ${offers.map((offer) => offer.provider.name).sort().join(" ")}`);
  const priced = offers.filter((offer) => offer.pricing.cpuSec > 0 && offer.pricing.envSec > 0 && offer.pricing.start >= 0);
  console.log(`priced: ${priced.length}, different prices: ${new Set(offers.map((o) => o.getEstimatedCost(1))).size > 1}`);
  const platforms = new Set(offers.flatMap((offer) => Object.keys(offer.paymentPlatformAddresses)));
  console.log(`platforms: ${["erc20-holesky-tglm", "erc20-polygon-glm"].every((name) => platforms.has(name))}`);
  const protocols = offers.every((offer) => offer.transferProtocol.includes("gftp"));
  console.log(`machines: ${protocols && offers.every((o) => o.cpuCores > 0 && o.cpuThreads > 0 && o.memoryGib >= 0.5 && o.storageGib >= 2)}`);
  const largest = Math.max(...offers.map((offer) => offer.memoryGib));
  const few = offers.filter((offer) => offer.memoryGib === largest).length;
  const large = await scan(glm, glm.market.buildScanSpecification({ workload: { minMemGib: largest } }), few);
  console.log(`filtered: ${large.length === few && large.every((offer) => offer.memoryGib === largest)}`);
  const none = await scan(glm, glm.market.buildScanSpecification({ subnetTag: "nowhere" }), 1);
  console.log(`elsewhere: ${none.length}`);
});
