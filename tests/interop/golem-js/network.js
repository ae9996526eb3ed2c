// Two machines in one network, reached through a TCP proxy of golem-js.
const { GolemNetwork } = require("@golem-sdk/golem-js");
const net = require("net");
const { main, order } = require("./support");

function talk(port, sent, enough) {
  return new Promise((resolve, reject) => {
    const received = [];
    const socket = net.connect(port, "127.0.0.1", () => socket.write(sent));
    socket.on("data", (data) => {
      received.push(data);
      const all = Buffer.concat(received);
      if (enough(all)) {
        socket.end();
        resolve(all);
      }
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(Buffer.concat(received)));
  });
}

// The proxy needs a number: a port that was free a moment ago.
function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function through(exe, port, sent, enough) {
  const proxy = exe.createTcpProxy(port);
  const local = await freePort();
  await proxy.listen(local);
  try {
    return await talk(local, sent, enough);
  } finally {
    await proxy.close();
  }
}

main(GolemNetwork, async (glm) => {
  const network = await glm.createNetwork({ ip: "192.168.7.0/24" });
  const pool = await glm.manyOf({ poolSize: { min: 2, max: 2 }, order: { ...order(0.25, { capabilities: ["vpn"] }), network } });
  pool.events.on("created", ({ agreement }) => console.log(`agreement with ${agreement.provider.name}`));
  const rentals = [await pool.acquire(), await pool.acquire()];
  const machines = await Promise.all(rentals.map((rental) => rental.getExeUnit()));
  console.log(`addresses: ${machines.map((exe) => exe.getIp()).sort().join(" ")}`);
  for (const exe of machines) {
    const sent = Buffer.alloc(100_000, "some bytes to echo. ");
    const echoed = await through(exe, 7, sent, (data) => data.length >= sent.length);
    console.log(`echo: ${echoed.equals(sent)}`);
    const request = "GET / HTTP/1.1\r\nHost: machine\r\nConnection: close\r\n\r\n";
    const answer = await through(exe, 80, request, (data) => data.includes("\r\n\r\n"));
    console.log(`http: ${answer.toString().split(" ")[1]}`);
  }
  await Promise.all(rentals.map((rental) => pool.destroy(rental)));
  await pool.drainAndClear();
  await glm.destroyNetwork(network);
});
