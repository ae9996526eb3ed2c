//! What the market refuses, in the daemon's words. HTTP gives each its status.

use golem_wire::market::AgreementState;
use golem_wire::{AgreementId, DemandId, OfferId, ProposalId};
use thiserror::Error;

use golem_wire::constraint::ParseError;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum MarketError {
    #[error("Subscription [{0}] not found. Could be unsubscribed.")]
    NoSubscription(DemandId),
    #[error("Demand [{0}] not found.")]
    NoDemand(DemandId),
    #[error("Offer [{0}] not found.")]
    NoOffer(DemandId),
    #[error("Subscription [{0}] wasn't found.")]
    SubscriptionGone(DemandId),
    #[error("Subscription [{0}] expired.")]
    SubscriptionExpired(DemandId),
    #[error("Subscription [{0}] was already unsubscribed.")]
    OfferWithdrawn(OfferId),
    #[error("Subscription [{0}] expired.")]
    OfferExpired(OfferId),
    /// The same for a rejection, which has another status.
    #[error("Subscription [{0}] expired.")]
    OfferExpiredForReject(OfferId),
    #[error("Proposal [{proposal}] not found (subscription [Some({})]).", Parts(.demand))]
    NoProposal {
        proposal: ProposalId,
        demand: DemandId,
    },
    #[error("Proposal [{proposal}] not found (subscription [Some({})]).", Parts(.demand))]
    NoProposalToReject {
        proposal: ProposalId,
        demand: DemandId,
    },
    #[error("Proposal [{0}] already has counter proposal. Can't counter for the second time.")]
    AlreadyCountered(ProposalId),
    #[error("Can't react to own Proposal [{0}].")]
    OwnProposal(ProposalId),
    #[error(
        "Proposal properties [{counter}] doesn't match previous Proposal [{previous}]. Mismatched \
         constraints - Offer: {offer:?}, Demand: {demand:?}"
    )]
    NotMatching {
        counter: ProposalId,
        previous: ProposalId,
        offer: Vec<String>,
        demand: Vec<String>,
    },
    #[error(
        "Can't match Proposal [{counter}] with previous Proposal [{previous}]. Error: Prepare error: \
         Error {}: {}",
        if .why.is_of_a_name() { "building Demand constraints expression" } else { "parsing Demand constraints" },
        .why.in_daemons_words()
    )]
    NotComparable {
        counter: ProposalId,
        previous: ProposalId,
        why: ParseError,
    },
    #[error("Provider of Proposal [{0}] can't be reached.")]
    ProposalUnreachable(ProposalId),
    #[error("Can't create Agreement for Proposal [{0}]. Proposal [{0}] not found.")]
    NothingToPromote(ProposalId),
    #[error(
        "Can't create Agreement for an own Proposal [{0}]. You can promote only provider's \
         Proposals to Agreement."
    )]
    PromotedOwn(ProposalId),
    #[error(
        "Can't create Agreement for Proposal [{0}]. No negotiation with Provider took place. (You \
         should counter Proposal at least one time)"
    )]
    PromotedInitial(ProposalId),
    #[error("Can't create Agreement for already countered Proposal [{0}].")]
    PromotedCountered(ProposalId),
    #[error("Can't create Agreement for rejected Proposal [{0}].")]
    PromotedRejected(ProposalId),
    #[error("Can't create second Agreement for Proposal [{0}].")]
    PromotedTwice(ProposalId),
    #[error("Agreement [{0}] not found.")]
    NoAgreement(AgreementId),
    /// The same with the id as the daemon keeps it.
    #[error("Agreement [R-{0}] not found.")]
    NoAgreementOfRequestor(AgreementId),
    /// The same for who would be its provider.
    #[error("Agreement [P-{0}] not found.")]
    NoAgreementOfProvider(AgreementId),
    #[error("Can't update Agreement state from {from} to {to}.")]
    Transition {
        from: AgreementState,
        to: AgreementState,
    },
    /// The provider hears of an agreement when it is confirmed, not before.
    #[error(
        "Protocol error while approving: Remote failed to approve. Error: Agreement [P-{0}] not found."
    )]
    CancelledUnconfirmed(AgreementId),
    /// The provider answered a counter-proposal that was made after the promotion.
    #[error(
        "Protocol error: Agreement [P-{agreement}] remote error: Can't create Agreement for already \
         countered Proposal [P-{}].",
        .proposal.as_str().trim_start_matches("R-")
    )]
    ConfirmedCountered {
        agreement: AgreementId,
        proposal: ProposalId,
    },
    #[error("Provider of Agreement [{0}] can't be reached.")]
    AgreementUnreachable(AgreementId),
    /// The mock's own words: a real provider has no way to refuse.
    #[error("Provider of Agreement [{0}] does not accept its termination.")]
    TerminationRefused(AgreementId),
    #[error("Agreement [R-{0}] should be confirmed, before waiting for approval.")]
    NotConfirmed(AgreementId),
    #[error("Agreement [R-{0}] terminated.")]
    Terminated(AgreementId),
    #[error("Agreement [R-{0}] expired.")]
    Expired(AgreementId),
    #[error("{0}")]
    NotApproved(AgreementState),
    #[error("Timeout while waiting for Agreement [R-{0}] approval.")]
    ApprovalTimeout(AgreementId),
    #[error("Agreement [R-{0}] not terminated yet.")]
    NotTerminated(AgreementId),
    /// The same for its provider.
    #[error("Agreement [P-{0}] not terminated yet.")]
    NotTerminatedByProvider(AgreementId),
    #[error("Agreement [{0}] is over.")]
    AnnouncedTooLate(AgreementId),
    #[error("Agreement [{0}] is not approved.")]
    AnnouncedUnapproved(AgreementId),
    #[error("Agreement [{0}] has another termination notice.")]
    AnnouncedOtherwise(AgreementId),
    #[error("Termination deadline {1} of Agreement [{0}] is not ahead.")]
    AnnouncedPast(AgreementId, jiff::Timestamp),
    #[error("Only the provider of Agreement [{0}] can give notice of its termination.")]
    AnnouncedByRequestor(AgreementId),
    #[error("Invalid maxEvents '{0}', should be between 1 and {1}.")]
    MaxEvents(i32, usize),
    #[error("Iterator with id \"{}\" not found", Number(.0))]
    NoScan(String),
    #[error("Timeout while attempting to fetch data from a peer")]
    NoPeer,
    #[error("Invalid constraint. {}", .0.in_daemons_words())]
    Constraint(#[from] ParseError),
}

/// A number as it is written without signs and needless zeros; anything else as it is.
struct Number<'a>(&'a str);

impl std::fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.parse::<u64>() {
            Ok(number) => write!(f, "{number}"),
            Err(_) => f.write_str(self.0),
        }
    }
}

/// A subscription as the daemon's debug output shows it.
struct Parts<'a>(&'a DemandId);

impl std::fmt::Display for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (random, hash) = self
            .0
            .as_str()
            .split_once('-')
            .unwrap_or((self.0.as_str(), ""));
        write!(
            f,
            "SubscriptionId {{ random_id: {random:?}, hash: {hash:?} }}"
        )
    }
}
