require("../claims.js")({ describe, expect, test, ...require("golem-rehearsal/jest") });
