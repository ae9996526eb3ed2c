import type { Network, NetworkOptions } from "./index.js";
export { Network, Refused, rehearse } from "./index.js";
/**
 * A network for each test of this file or `describe`, to which YAGNA_API_URL, YAGNA_APPKEY and their like lead; `network` is there while a
 * test runs. `expect(rehearsal).toHold()` is there, too.
 */
export function useNetwork(options?: NetworkOptions): { network: Network };
