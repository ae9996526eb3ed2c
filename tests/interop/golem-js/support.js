// What the programs share: the order for a machine, and an observer that prints what the tests assert.
const IMAGE_HASH = "d1ac20fe68acc37eba301878b0f6ab24929cf5f985ef420f6c479b14";

// An URL given with its hash is not fetched.
const workload = {
  imageHash: IMAGE_HASH,
  imageUrl: "http://127.0.0.1:9/image.gvmi",
  minMemGib: 0.5,
  minStorageGib: 2,
  minCpuThreads: 1,
};

/** An order for machines with `workload`; `hours` bounds the allocation. */
function order(hours = 0.25, more = {}) {
  return {
    demand: { workload: { ...workload, ...more } },
    market: {
      rentHours: hours,
      pricing: { model: "linear", maxStartPrice: 1, maxCpuPerHourPrice: 2, maxEnvPerHourPrice: 2 },
    },
  };
}

/** Prints every invoice that was accepted and every payment that failed. */
function watch(glm) {
  glm.market.events.on("offerCounterProposalRejected", (event) => console.log(`rejected: ${event.reason}`));
  for (const kind of ["invoice", "debitNote"]) {
    glm.payment.events.on(`${kind}Accepted`, (event) => {
      const amount = kind === "invoice" ? event.invoice.amount : event.debitNote.totalAmountDue;
      console.log(`${kind === "invoice" ? "invoice" : "debit note"} accepted: ${amount}`);
    });
  }
  glm.payment.events.on("errorAcceptingInvoice", (event) => console.log(`payment failed: ${event.error}`));
  glm.payment.events.on("errorAcceptingDebitNote", (event) => console.log(`payment failed: ${event.error}`));
}

/** Runs `program` on a connected network, disconnects whatever happens, and says `done` if all went well. */
async function main(GolemNetwork, program) {
  const glm = new GolemNetwork();
  watch(glm);
  try {
    await glm.connect();
    await program(glm);
    await glm.disconnect();
    console.log("done");
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
    await glm.disconnect();
  }
}

module.exports = { order, workload, watch, main };
