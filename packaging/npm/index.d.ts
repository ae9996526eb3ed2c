export interface NetworkOptions {
  /** Machines of the network; 4. */
  providers?: number;
  /** A network file (YAML), as for `mock-yagna --scenario`; instead of `providers`. */
  file?: string;
  /** Seed of everything random; 1. */
  seed?: number;
  appKey?: string;
  /** Further options of `mock-yagna`. */
  options?: string[];
}
export interface Provider {
  name: string;
  id: string;
  online: boolean;
  agreements: string[];
  [key: string]: unknown;
}
export interface NetworkEvent {
  seq: number;
  at: string;
  actor: string;
  event: string;
  [key: string]: unknown;
}
export interface Summary {
  agreements: number;
  activities: number;
  invoices: number;
  invoices_paid: number;
  violations: object[];
  open: object[];
  [key: string]: unknown;
}
/** The network refuses what was asked of it. */
export class Refused extends Error {}
/** A simulated Golem Network behind a yagna daemon, in real time. */
export class Network {
  static start(options?: NetworkOptions): Promise<Network>;
  readonly url: string;
  readonly appKey: string;
  readonly environment: Record<string, string>;
  control(method: string, where: string, body?: unknown): Promise<any>;
  act(name: string, how?: object): Promise<void>;
  addFault(on: string | string[], effect: string | object, how?: object): Promise<string>;
  liftFaults(): Promise<void>;
  providers(): Promise<Provider[]>;
  matches(): Promise<object[]>;
  events(name?: string): Promise<NetworkEvent[]>;
  summary(): Promise<Summary>;
  check(options?: { openIsFine?: boolean }): Promise<void>;
  reset(): Promise<void>;
  now(): Promise<string>;
  advance(by: string): Promise<string>;
  save(name: string): Promise<void>;
  load(name: string): Promise<void>;
  log(): string;
  stop(): Promise<void>;
}
export interface RehearseOptions {
  /** A scenario file, or the name of one of the catalog. */
  scenario?: string;
  /** Machines of a network without a scenario. */
  providers?: number;
  seed?: number;
  /** Where journal, trace and report are left; a temporary folder. */
  out?: string;
  /** `virtual`, `real`, or as `x60`. */
  time?: string;
  /** How long it may work in real time while virtual time stands, as `2m`. */
  busy?: string;
  /** Also leave the page `report.html`. */
  html?: boolean;
  env?: Record<string, string | undefined>;
  cwd?: string;
}
/** What came of a program. */
export class Rehearsal {
  readonly ok: boolean;
  readonly exitCode: number | null;
  readonly report: Record<string, any>;
  readonly output: string;
  readonly folder: string;
  events(name?: string): NetworkEvent[];
  wrong(): string[];
}
/** Runs a program with `rehearse exec`, in virtual time. */
export function rehearse(command: string[], options?: RehearseOptions): Promise<Rehearsal>;
/** The path of a program of this package. */
export function program(name: "rehearse" | "mock-yagna"): string;
