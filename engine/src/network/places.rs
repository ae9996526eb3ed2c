//! Who has which address. Owns: the choice of a free one, what is kept for instances that wait for a
//! machine, and which nodes do not know each other yet. Does not own: telling the daemon
//! (`network.rs`). Pure.
//!
//! The daemon knows a provider, not a machine: it forgets a node with all its addresses at once, and an
//! address that a node has stays with it. So an address whose machine is gone is *retired* until the
//! last machine of its provider is gone as well.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use golem_wire::NodeId;

use super::subnet::Subnet;
use super::{NetworkError, ReservedFor};

/// The addresses of a network.
#[derive(Debug)]
pub(super) struct Places {
    subnet: Subnet,
    gateway: Option<IpAddr>,
    /// The owner's, as it wants to be called first.
    owner: Vec<IpAddr>,
    /// Of machines, or of machines to come.
    taken: BTreeMap<IpAddr, Place>,
    /// Kept for instances, whether they have a machine or not.
    claimed: BTreeSet<IpAddr>,
    /// What the daemon still has of machines that are gone.
    retired: BTreeMap<IpAddr, NodeId>,
    last: IpAddr,
    /// Counts the nodes that were added.
    added: u64,
    /// Nodes of which some other does not know.
    untold: BTreeSet<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// For a machine that is about to be rented.
    Reserved,
    /// Of a machine, the how-manieth one.
    Machine { node: NodeId, number: u64 },
}

impl Places {
    /// The daemon gives the first address of a host to the owner, whatever others it takes.
    pub(super) fn new(subnet: Subnet, gateway: Option<IpAddr>, owner: IpAddr) -> Self {
        let mut owners = vec![owner];
        if owner != subnet.first_host() {
            owners.push(subnet.first_host());
        }
        Places {
            subnet,
            gateway,
            owner: owners,
            taken: BTreeMap::new(),
            claimed: BTreeSet::new(),
            retired: BTreeMap::new(),
            last: subnet.first_host(),
            added: 0,
            untold: BTreeSet::new(),
        }
    }

    pub(super) fn owner(&self) -> &[IpAddr] {
        &self.owner
    }

    /// Whether a machine may ever have it.
    fn check(&self, ip: IpAddr) -> Result<(), NetworkError> {
        self.subnet.check_host(ip)?;
        let what = if self.owner.contains(&ip) {
            ReservedFor::Owner
        } else if self.gateway == Some(ip) {
            ReservedFor::Gateway
        } else {
            return Ok(());
        };
        Err(NetworkError::Reserved { address: ip, what })
    }

    fn taken_by(&self, ip: IpAddr) -> Result<(), NetworkError> {
        let by = match self.taken.get(&ip) {
            Some(Place::Machine { node, .. }) => Some(node.clone()),
            Some(Place::Reserved) => None,
            None if self.claimed.contains(&ip) => None,
            None => return Ok(()),
        };
        Err(NetworkError::AddressTaken { address: ip, by })
    }

    /// Whether the owner may take it.
    pub(super) fn check_owner(&self, ip: IpAddr) -> Result<(), NetworkError> {
        self.subnet.check_host(ip)?;
        self.taken_by(ip)
    }

    pub(super) fn add_owner(&mut self, ip: IpAddr) {
        if !self.owner.contains(&ip) {
            self.owner.push(ip);
        }
    }

    /// Keeps an address for an instance.
    pub(super) fn claim(&mut self, ip: IpAddr) -> Result<(), NetworkError> {
        self.check(ip)?;
        self.taken_by(ip)?;
        self.claimed.insert(ip);
        Ok(())
    }

    pub(super) fn unclaim(&mut self, ip: IpAddr) {
        self.claimed.remove(&ip);
    }

    /// Keeps a claimed address for a machine; `false` while another machine has it.
    pub(super) fn reserve_claimed(&mut self, ip: IpAddr) -> bool {
        let free = !self.taken.contains_key(&ip);
        if free {
            self.taken.insert(ip, Place::Reserved);
        }
        free
    }

    /// Keeps any free address for a machine; one that a machine had before only when there is no other.
    pub(super) fn reserve(&mut self) -> Option<IpAddr> {
        let free = |ip: &IpAddr| {
            !self.taken.contains_key(ip) && !self.claimed.contains(ip) && self.check(*ip).is_ok()
        };
        // Each turn passes one that is not free, so there are no more turns than those.
        let fresh = self
            .subnet
            .hosts_after(self.last)
            .find(|ip| free(ip) && !self.retired.contains_key(ip));
        let ip = fresh.or_else(|| self.retired.keys().copied().find(free))?;
        if golem_probe::planted!("two-machines-get-one-address") {
            return Some(ip);
        }
        self.last = ip;
        self.taken.insert(ip, Place::Reserved);
        Some(ip)
    }

    /// Keeps this address for a machine.
    pub(super) fn reserve_this(&mut self, ip: IpAddr) -> Result<(), NetworkError> {
        self.check(ip)?;
        self.taken_by(ip)?;
        self.taken.insert(ip, Place::Reserved);
        Ok(())
    }

    /// No machine came.
    pub(super) fn release(&mut self, ip: IpAddr) {
        if self.taken.get(&ip) == Some(&Place::Reserved) {
            self.taken.remove(&ip);
        }
    }

    /// Whose the daemon takes the address to be, if not `node`'s: it must forget that one first.
    pub(super) fn stale_owner(&self, ip: IpAddr, node: &NodeId) -> Option<NodeId> {
        self.retired
            .get(&ip)
            .filter(|other| *other != node)
            .cloned()
    }

    /// The daemon has it as a node.
    pub(super) fn joined(&mut self, ip: IpAddr, node: &NodeId) {
        self.retired.remove(&ip);
        self.added += 1;
        let place = Place::Machine {
            node: node.clone(),
            number: self.added,
        };
        self.taken.insert(ip, place);
    }

    /// The machine is gone; tells whether the daemon may forget its provider: no other machine of it is
    /// there.
    pub(super) fn left(&mut self, ip: IpAddr, node: &NodeId) -> bool {
        if !matches!(self.taken.get(&ip), Some(Place::Machine { node: there, .. }) if there == node)
        {
            return false;
        }
        self.taken.remove(&ip);
        self.untold.remove(&ip);
        self.retired.insert(ip, node.clone());
        !self.addresses_of(node).any(|_| true)
    }

    /// Addresses of a provider's machines.
    pub(super) fn addresses_of(&self, node: &NodeId) -> impl Iterator<Item = IpAddr> {
        self.machines()
            .filter(move |(_, there)| *there == node)
            .map(|(ip, _)| ip)
    }

    /// The daemon has forgotten the provider with all its addresses.
    pub(super) fn forgotten(&mut self, node: &NodeId) {
        self.retired.retain(|_, there| there != node);
    }

    /// What the daemon had when a later run took the network up; no machine is known yet.
    pub(super) fn found(&mut self, ip: IpAddr, node: NodeId) {
        if self.subnet.contains(ip) {
            self.retired.insert(ip, node);
        }
    }

    /// Machines by address.
    pub(super) fn machines(&self) -> impl Iterator<Item = (IpAddr, &NodeId)> {
        self.taken.iter().filter_map(|(ip, place)| match place {
            Place::Machine { node, .. } => Some((*ip, node)),
            Place::Reserved => None,
        })
    }

    /// How many nodes were added up to now: what a machine that is deployed now knows of.
    pub(super) fn added(&self) -> u64 {
        self.added
    }

    /// A machine was started that knows of the first `known` nodes. Tells whether there are others.
    pub(super) fn started(&mut self, ip: IpAddr, known: u64) -> bool {
        let later = self.taken.iter().filter_map(|(other, place)| match place {
            Place::Machine { number, .. } if *number > known && *other != ip => Some(*other),
            _ => None,
        });
        self.untold.extend(later);
        !self.untold.is_empty()
    }

    /// Nodes that are to be told of once more, and whose they are.
    pub(super) fn take_untold(&mut self) -> Vec<(IpAddr, NodeId)> {
        let untold = std::mem::take(&mut self.untold);
        let machines = self.machines();
        machines
            .filter(|(ip, _)| untold.contains(ip))
            .map(|(ip, node)| (ip, node.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 8, 0, last])
    }

    fn places(prefix: &str) -> Places {
        let subnet = Subnet::parse(&format!("10.8.0.0/{prefix}"), None).expect("a network");
        Places::new(subnet, None, subnet.first_host())
    }

    #[test]
    fn every_address_is_given_once_and_none_that_is_somebody_s() {
        let subnet = Subnet::parse("10.8.0.0/29", None).expect("a network");
        let mut places = Places::new(subnet, Some(ip(3)), ip(2));
        places.claim(ip(5)).expect("free");
        let mut given = Vec::new();
        given.extend(std::iter::from_fn(|| places.reserve()));
        assert_eq!(given, [ip(4), ip(6)]);
        for (bad, what) in [
            (ip(1), ReservedFor::Owner),
            (ip(2), ReservedFor::Owner),
            (ip(3), ReservedFor::Gateway),
            (ip(0), ReservedFor::Network),
            (ip(7), ReservedFor::Broadcast),
        ] {
            let error = places.claim(bad).expect_err("refused");
            assert!(
                matches!(error, NetworkError::Reserved { address, what: is } if address == bad && is == what),
                "{error}"
            );
        }
        for taken in [ip(4), ip(5)] {
            let error = places.claim(taken).expect_err("taken");
            assert!(
                matches!(error, NetworkError::AddressTaken { by: None, .. }),
                "{error}"
            );
        }
        places.release(ip(4));
        assert_eq!(places.reserve(), Some(ip(4)));
    }

    #[test]
    fn an_address_of_a_machine_that_is_gone_is_given_away_last_and_its_provider_forgotten_first() {
        let mut places = places("29");
        let (alice, bob) = (NodeId::new("0xa"), NodeId::new("0xb"));
        for _ in 0..2 {
            let ip = places.reserve().expect("free");
            places.joined(ip, &alice);
        }
        // The other machine of the same provider keeps the daemon from forgetting it.
        assert!(!places.left(ip(2), &alice));
        assert!(!places.left(ip(2), &alice), "once");
        for last in 4..=6 {
            assert_eq!(places.reserve(), Some(ip(last)));
        }
        assert_eq!(places.reserve(), Some(ip(2)), "the last resort");
        assert_eq!(places.stale_owner(ip(2), &bob), Some(alice.clone()));
        assert_eq!(places.stale_owner(ip(2), &alice), None);
        places.forgotten(&alice);
        places.joined(ip(2), &bob);
        assert!(
            places.left(ip(3), &alice),
            "the last machine of its provider"
        );
        let machines: Vec<_> = places.machines().collect();
        assert_eq!(machines, [(ip(2), &bob)]);
    }

    #[test]
    fn only_nodes_that_came_after_a_deployment_are_told_of_again() {
        let mut places = places("24");
        let node = |n: u8| NodeId::new(format!("0x{n}"));
        for n in 2..=4 {
            places.reserve().expect("free");
            places.joined(ip(n), &node(n));
        }
        // All were there when they were deployed.
        for n in 2..=4 {
            assert!(!places.started(ip(n), 3));
        }
        // The last one came when the others were deployed already.
        for n in 2..=3 {
            assert!(places.started(ip(n), 2));
        }
        assert!(places.started(ip(4), 3), "still untold");
        assert_eq!(places.take_untold(), [(ip(4), node(4))]);
        assert!(places.take_untold().is_empty());
    }

    #[test]
    fn a_claim_waits_for_the_machine_before() {
        let mut places = places("24");
        let alice = NodeId::new("0xa");
        places.claim(ip(9)).expect("free");
        assert!(places.reserve_claimed(ip(9)));
        places.joined(ip(9), &alice);
        assert!(!places.reserve_claimed(ip(9)));
        assert!(places.left(ip(9), &alice));
        assert!(places.reserve_claimed(ip(9)));
        assert_eq!(places.stale_owner(ip(9), &NodeId::new("0xb")), Some(alice));
    }
}
