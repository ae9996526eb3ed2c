//! Payments as the daemon hands them out: with the bytes that the payer signed, and a signature that
//! has the form of one and proves nothing.

use serde::Serialize;
use serde_json::Value;
use sha3::{Digest, Sha3_512};

use crate::daemon::payment::Payment;

/// A payment with its signature.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignedPayment {
    #[serde(flatten)]
    payment: Payment,
    /// Recovery id and 64 bytes.
    signature: Vec<u8>,
    /// The payment as JSON, members in alphabetical order.
    signed_bytes: Vec<u8>,
}

impl From<Payment> for SignedPayment {
    fn from(payment: Payment) -> Self {
        let mut members = serde_json::to_value(&payment).unwrap_or_default();
        members.sort_all_objects();
        let signed_bytes = serde_json::to_vec::<Value>(&members).unwrap_or_default();
        let mut signature = vec![0];
        signature.extend_from_slice(&Sha3_512::digest(&signed_bytes));
        SignedPayment {
            payment,
            signature,
            signed_bytes,
        }
    }
}

/// Each with its signature.
pub(super) fn signed(payments: Vec<Payment>) -> Vec<SignedPayment> {
    payments.into_iter().map(SignedPayment::from).collect()
}
