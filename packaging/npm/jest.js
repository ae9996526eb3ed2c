// The helpers for jest.
const { helpers } = require("./index.js");

const { beforeEach, afterEach, expect } = globalThis.expect ? globalThis : require("@jest/globals");
module.exports = helpers({ beforeEach, afterEach, expect });
