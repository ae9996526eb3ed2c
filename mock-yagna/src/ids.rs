//! Where the daemon's ids come from: one seeded stream, formats as in `yagna-rest.md` section 2.

use golem_wire::{
    ActivityId, AgreementId, AllocationId, BatchId, DebitNoteId, DemandId, InvoiceId, NetworkId,
    NodeId, OfferId, ProposalId,
};
use rand::Rng;

use crate::rng::{Seed, Stream};

/// Draws ids.
#[derive(Clone, Debug)]
pub(crate) struct IdSource {
    rng: Stream,
}

impl IdSource {
    pub(crate) fn new(seed: Seed) -> Self {
        IdSource { rng: seed.stream() }
    }

    fn hex<const N: usize>(&mut self) -> String {
        let mut bytes = [0u8; N];
        self.rng.fill_bytes(&mut bytes);
        hex::encode(bytes)
    }

    fn uuid(&mut self) -> String {
        let mut bytes = [0u8; 16];
        self.rng.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string()
    }

    fn simple_uuid(&mut self) -> String {
        self.uuid().replace('-', "")
    }

    pub(crate) fn node(&mut self) -> NodeId {
        NodeId::new(format!("0x{}", self.hex::<20>()))
    }

    pub(crate) fn demand(&mut self) -> DemandId {
        DemandId::new(format!("{}-{}", self.simple_uuid(), self.hex::<32>()))
    }

    pub(crate) fn offer(&mut self) -> OfferId {
        OfferId::new(format!("{}-{}", self.simple_uuid(), self.hex::<32>()))
    }

    /// The requestor only ever sees the `R-` side.
    pub(crate) fn proposal(&mut self) -> ProposalId {
        ProposalId::new(format!("R-{}", self.hex::<32>()))
    }

    pub(crate) fn agreement(&mut self) -> AgreementId {
        AgreementId::new(self.hex::<32>())
    }

    pub(crate) fn activity(&mut self) -> ActivityId {
        ActivityId::new(self.simple_uuid())
    }

    pub(crate) fn batch(&mut self) -> BatchId {
        BatchId::new(self.simple_uuid())
    }

    pub(crate) fn allocation(&mut self) -> AllocationId {
        AllocationId::new(self.uuid())
    }

    pub(crate) fn invoice(&mut self) -> InvoiceId {
        InvoiceId::new(self.uuid())
    }

    pub(crate) fn debit_note(&mut self) -> DebitNoteId {
        DebitNoteId::new(self.uuid())
    }

    /// Formatted as the daemon's payment ids are.
    pub(crate) fn payment(&mut self) -> String {
        self.simple_uuid()
    }

    /// An order of the payment driver.
    pub(crate) fn order(&mut self) -> String {
        self.uuid()
    }

    /// For networks of the net API.
    pub(crate) fn network(&mut self) -> NetworkId {
        NetworkId::new(self.simple_uuid())
    }
}
