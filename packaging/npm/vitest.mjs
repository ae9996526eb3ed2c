// The helpers for vitest.
import { afterEach, beforeEach, expect } from "vitest";
import all from "./index.js";

export const { useNetwork, rehearse, Network, Refused } = all.helpers({ beforeEach, afterEach, expect });
