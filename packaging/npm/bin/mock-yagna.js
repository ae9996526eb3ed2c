#!/usr/bin/env node
require("../run.js")("mock-yagna");
