// Data, JSON and files to a machine and back, over the daemon's service bus.
const { GolemNetwork } = require("@golem-sdk/golem-js");
const { createHash } = require("crypto");
const fs = require("fs/promises");
const os = require("os");
const path = require("path");
const { main, order } = require("./support");

// Larger than a message of the service bus, and not a multiple of one.
const CONTENT = Buffer.alloc(300_001, "some content that does not divide evenly. ");
const TABLE = { name: "Ada", numbers: [1, 2.5, null], words: "zażółć" };

const digest = (data) => createHash("sha256").update(data).digest("hex");

main(GolemNetwork, async (glm) => {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "interop-"));
  try {
    const rental = await glm.oneOf({ order: order() });
    console.log(`agreement with ${rental.agreement.provider.name}`);
    const exe = await rental.getExeUnit();

    await fs.writeFile(path.join(folder, "source.bin"), CONTENT);
    const up = await exe.uploadFile(path.join(folder, "source.bin"), "/golem/work/file.bin");
    console.log(`upload: ${up.result}`);
    const size = await exe.run("wc -c < /golem/work/file.bin");
    console.log(`size on the machine: ${size.stdout.trim()}`);
    await exe.downloadFile("/golem/work/file.bin", path.join(folder, "back.bin"));
    console.log(`file came back: ${digest(await fs.readFile(path.join(folder, "back.bin"))) === digest(CONTENT)}`);

    await exe.uploadData(new TextEncoder().encode("some bytes"), "/golem/work/bytes.bin");
    await exe.run("cat /golem/work/bytes.bin /golem/work/bytes.bin > /golem/work/twice.bin");
    const twice = await exe.downloadData("/golem/work/twice.bin");
    console.log(`bytes came back: ${new TextDecoder().decode(twice.data)}`);

    await exe.uploadJson(TABLE, "/golem/work/table.json");
    const table = await exe.downloadJson("/golem/work/table.json");
    console.log(`json came back: ${JSON.stringify(table.data) === JSON.stringify(TABLE)}`);

    const missing = await exe.downloadData("/golem/work/nothing.bin");
    console.log(`missing: ${missing.result}`);

    await exe
      .beginBatch()
      .uploadJson(TABLE, "/golem/work/second.json")
      .run("cp /golem/work/second.json /golem/work/third.json || cat /golem/work/second.json > /golem/work/third.json")
      .downloadFile("/golem/work/third.json", path.join(folder, "third.json"))
      .end();
    const third = JSON.parse(await fs.readFile(path.join(folder, "third.json"), "utf8"));
    console.log(`batch came back: ${JSON.stringify(third) === JSON.stringify(TABLE)}`);
    await rental.stopAndFinalize();
  } finally {
    await fs.rm(folder, { recursive: true });
  }
});
