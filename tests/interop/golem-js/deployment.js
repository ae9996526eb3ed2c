// A deployment of two pools in one network, whose files travel through the gftp program.
const { GolemNetwork } = require("@golem-sdk/golem-js");
const { GolemDeploymentBuilder } = require("@golem-sdk/golem-js/experimental");
const { randomBytes } = require("crypto");
const fs = require("fs");
const os = require("os");
const path = require("path");
const { order, main } = require("./support");

const machines = (replicas) => ({ ...order(0.25, { capabilities: ["vpn"] }), deployment: { replicas, network: "inner" } });

class OnPolygon extends GolemNetwork {
  constructor() {
    super({ payment: { network: "polygon" }, dataTransferProtocol: "gftp" });
  }
}

main(OnPolygon, async (glm) => {
  const deployment = new GolemDeploymentBuilder(glm)
    .createNetwork("inner", { ip: "10.9.0.0/24" })
    .createResourceRentalPool("web", machines(2))
    .createResourceRentalPool("store", machines(1))
    .getDeployment();
  await deployment.start();
  const rentals = await Promise.all(["web", "web", "store"].map((name) => deployment.getResourceRentalPool(name).acquire()));
  for (const rental of rentals) console.log(`agreement with ${rental.agreement.provider.name}`);
  const exes = await Promise.all(rentals.map((rental) => rental.getExeUnit()));
  console.log(`addresses: ${new Set(exes.map((exe) => exe.getIp())).size}`);
  console.log(`inside: ${exes.every((exe) => exe.getIp().startsWith("10.9.0."))}`);
  const platform = await glm.services.yagna.payment.getAllocations();
  console.log(`platform: ${platform.every((allocation) => allocation.paymentPlatform === "erc20-polygon-glm")}`);

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "golem-js-"));
  const [there, back] = [path.join(folder, "there"), path.join(folder, "back")];
  const content = randomBytes(200_003);
  fs.writeFileSync(there, content);
  console.log(`upload: ${(await exes[0].uploadFile(there, "/golem/work/file")).result}`);
  console.log(`download: ${(await exes[0].downloadFile("/golem/work/file", back)).result}`);
  console.log(`same: ${fs.readFileSync(back).equals(content)}`);
  fs.rmSync(folder, { recursive: true });
  await deployment.stop();
});
