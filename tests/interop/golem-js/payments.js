// Payments while the agreement lasts, from an allocation of one's own, and one debit note that is not wanted.
const { GolemNetwork } = require("@golem-sdk/golem-js");
const { main, order } = require("./support");

main(GolemNetwork, async (glm) => {
  const allocation = await glm.payment.createAllocation({ budget: 0.5, expirationSec: 3600, paymentPlatform: "erc20-holesky-tglm" });
  const { demand, market } = order(0.5);
  const payment = { midAgreementDebitNoteIntervalSec: 1, midAgreementPaymentTimeoutSec: 60, debitNotesAcceptanceTimeoutSec: 20 };
  let asked = 0;
  const notes = [];
  const enough = new Promise((resolve) => {
    glm.payment.events.on("debitNoteAccepted", ({ debitNote }) => {
      notes.push(Number(debitNote.totalAmountDue));
      if (notes.length === 3) resolve();
    });
  });
  const rental = await glm.oneOf({
    order: {
      demand: { ...demand, payment },
      market,
      payment: {
        allocation,
        debitNoteFilter: () => {
          asked += 1;
          return asked > 1;
        },
      },
    },
  });
  console.log(`agreement with ${rental.agreement.provider.name}`);
  const exe = await rental.getExeUnit();
  const working = exe.run("sleep 2; echo worked");
  await enough;
  console.log(`work: ${(await working).stdout.trim()}`);
  console.log(`meanwhile: ${(await glm.market.fetchAgreement(rental.agreement.id)).getState()}`);
  const meanwhile = await glm.payment.getAllocation(allocation.id);
  const whole = Number(meanwhile.spentAmount) + Number(meanwhile.remainingAmount);
  console.log(`not wanted: ${asked - notes.length}`);
  console.log(`spent: ${Number(meanwhile.spentAmount) > 0}, whole: ${Math.abs(whole - 0.5) < 1e-12}`);
  await rental.stopAndFinalize();
  console.log(`notes grow: ${notes.every((note, index) => index === 0 || note > notes[index - 1])}`);
  const api = glm.services.yagna.payment;
  console.log(`invoices: ${(await api.getInvoices()).map((invoice) => invoice.status).join()}`);
  console.log(`notes known: ${(await api.getDebitNotes()).length >= notes.length}`);
  await glm.payment.releaseAllocation(allocation);
  const gone = await glm.payment.getAllocation(allocation.id).catch((error) => error.constructor.name);
  console.log(`released: ${gone}`);
});
