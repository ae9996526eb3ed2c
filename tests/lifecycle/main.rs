//! The engine's ends and absences on a simulated network in virtual time: stopping, a daemon that is
//! away, answers that are lost, providers that end, cannot be reached, or are owed something; who is
//! rented of many; pools; results over a real socket.

mod absence;
mod allocations;
mod attach;
mod background;
mod bills;
mod budget;
mod callbacks;
mod clocks;
mod commands;
mod durability;
mod events;
mod given_up;
mod limits;
mod lists;
mod live_output;
mod low_level;
mod many;
mod market;
mod metrics;
mod networks;
mod nonsense;
mod notices;
mod payloads;
mod pools;
mod provider;
mod proxies;
mod real_peers;
mod redundancy;
mod reference;
mod restarts;
mod results;
mod scans;
mod scope;
mod severable;
mod silence;
mod stopping;
mod strategies;
mod terms;
mod test_kit;
mod ticker;
mod two_engines;
mod unclear;
mod unreachable;
mod within;
