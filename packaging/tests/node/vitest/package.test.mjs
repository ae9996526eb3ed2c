import { describe, expect, test } from "vitest";
import * as golem from "golem-rehearsal/vitest";
import claims from "../claims.js";

claims({ describe, expect, test, ...golem });
