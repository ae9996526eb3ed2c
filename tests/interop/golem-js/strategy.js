// Who gets the agreement: the provider that a selector takes, a filter lets through, a price cap allows.
const { GolemNetwork } = require("@golem-sdk/golem-js");
const { main, order, workload } = require("./support");

const HOURS = 0.25;

/** Every offer of the market, the cheapest first. */
function market(glm) {
  return new Promise((resolve, reject) => {
    const offers = new Map();
    const subscription = glm.market.scan(glm.market.buildScanSpecification({ payment: { network: "holesky" } })).subscribe({
      next: (offer) => {
        offers.set(offer.provider.id, offer);
        if (offers.size === 8) {
          subscription.unsubscribe();
          resolve([...offers.values()].sort((a, b) => a.getEstimatedCost(HOURS) - b.getEstimatedCost(HOURS)));
        }
      },
      error: reject,
    });
  });
}

/** The provider of the one agreement of an order with these market options, or why there is none. */
async function rented(glm, more, demand = {}, limit = 20_000) {
  const { market, ...rest } = order(HOURS);
  const rental = await glm.oneOf({ order: { ...rest, demand: { workload: { ...workload, ...demand } }, market: { ...market, ...more } }, signalOrTimeout: limit });
  const { id } = rental.agreement.provider;
  await rental.stopAndFinalize();
  return id;
}

main(GolemNetwork, async (glm) => {
  const offers = await market(glm);
  const [cheapest, dearest] = [offers[0].provider.id, offers.at(-1).provider.id];
  console.log(`offers: ${offers.length}`);

  // The pool collects proposals until the first rental is wanted.
  let choice = 0;
  const { market: terms, ...rest } = order(HOURS);
  const selector = (proposals) => {
    choice = proposals.length;
    return proposals.sort((a, b) => a.getEstimatedCost(HOURS) - b.getEstimatedCost(HOURS))[0];
  };
  let drafts = 0;
  const enough = new Promise((resolve) => {
    glm.market.events.on("offerProposalReceived", ({ offerProposal }) => {
      drafts += offerProposal.isDraft() ? 1 : 0;
      if (drafts === 8) setImmediate(resolve);
    });
  });
  const pool = await glm.manyOf({ poolSize: { min: 0, max: 1 }, order: { ...rest, market: { ...terms, offerProposalSelector: selector } } });
  await enough;
  const rental = await pool.acquire();
  console.log(`selected the cheapest of ${choice}: ${rental.agreement.provider.id === cheapest}`);
  await pool.destroy(rental);
  await pool.drainAndClear();

  const filtered = await rented(glm, { offerProposalFilter: (proposal) => proposal.provider.id === dearest });
  console.log(`filtered: ${filtered === dearest}`);

  let tooDear = 0;
  glm.market.events.on("offerProposalRejectedByPriceFilter", () => (tooDear += 1));
  const { start, cpuSec, envSec } = offers[0].pricing;
  const pricing = { model: "linear", maxStartPrice: start + 1e-9, maxCpuPerHourPrice: cpuSec * 3600.001, maxEnvPerHourPrice: envSec * 3600.001 };
  const capped = await rented(glm, { pricing });
  console.log(`capped: ${capped === cheapest}, others too dear: ${tooDear > 0}`);

  const rate = await rented(glm, { pricing: { model: "burn-rate", avgGlmPerHour: 1_000 } });
  console.log(`burn rate: ${offers.some((offer) => offer.provider.id === rate)}`);

  const nobody = await rented(glm, {}, { minCpuThreads: 1024 }, 2_000).catch((error) => error.message);
  console.log(`nobody: ${nobody}`);
});
