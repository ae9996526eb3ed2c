// What somebody who has installed the package may write, in either framework.
module.exports = ({ describe, test, expect, useNetwork, rehearse, Network, Refused }) => {
  const program = (code) => ["node", "-e", code];

  test("two hours pass at once", async () => {
    const rehearsal = await rehearse(program("setTimeout(() => console.log('awake'), 7200e3)"), { providers: 2, html: true });
    expect(rehearsal).toHold();
    expect(rehearsal.output).toContain("awake");
    expect(rehearsal.report.virtual_seconds).toBeGreaterThanOrEqual(7200);
    expect(require("node:fs").existsSync(`${rehearsal.folder}/report.html`)).toBe(true);
  });

  test("what does not hold is told", async () => {
    const rehearsal = await rehearse(program("process.exit(3)"));
    expect(() => expect(rehearsal).toHold()).toThrow(/the program ended with exit code 3/);
  });

  test("a rehearsal without its scenario does not begin", async () => {
    await expect(rehearse(program(""), { scenario: "no-such-file.yaml" })).rejects.toThrow(/no-such-file/);
  });

  describe("on a network", () => {
    const golem = useNetwork({ providers: 3 });

    test("variables lead to it, and it can be interfered with", async () => {
      const me = async () => (await fetch(`${process.env.YAGNA_API_URL}/me`, { headers: { Authorization: `Bearer ${process.env.YAGNA_APPKEY}` } })).status;
      await golem.network.addFault("GET /me", { refuse: 503 }, { count: 1 });
      expect([await me(), await me()]).toEqual([503, 200]);
      await golem.network.act("die", { provider: "provider-2" });
      expect((await golem.network.providers()).map((provider) => provider.online)).toEqual([true, false, true]);
      await expect(golem.network.act("die", { provider: "nobody" })).rejects.toThrow(Refused);
      expect((await golem.network.events()).length).toBeGreaterThan(0);
      expect(golem.network.log()).toContain("3 providers");
    });

    test("each test has its own", async () => {
      expect((await golem.network.providers()).every((provider) => provider.online)).toBe(true);
    });
  });

  test("without a network no variable is left", () => {
    expect(process.env.YAGNA_API_URL).toBeUndefined();
  });

  test("time that is held moves at a word, and a kept state is gone back to", async () => {
    const network = await Network.start({ providers: 2, options: ["--time", "held"] });
    try {
      const began = await network.now();
      await network.save("begin");
      await network.act("die", { provider: "provider-2" });
      expect(Date.parse(await network.advance("2d")) - Date.parse(began)).toBe(2 * 24 * 3600e3);
      await network.load("begin");
      expect(await network.now()).toBe(began);
      expect((await network.providers()).every((provider) => provider.online)).toBe(true);
      await expect(network.load("end")).rejects.toThrow(/there are: begin/);
    } finally {
      await network.stop();
    }
  });

  test("a network that cannot be says why", async () => {
    await expect(Network.start({ options: ["--funds=-1"] })).rejects.toThrow(/no less than nothing/);
  });
};
