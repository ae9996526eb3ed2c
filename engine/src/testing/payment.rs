//! What the canned daemon tells of money, and tests have it tell. Does not own: when it is told.

use jiff::Timestamp;
use serde_json::{Value, json};

/// An allocation of which nothing is spent, made at `at`, that ends with nobody's word.
pub(crate) fn allocation(id: &str, platform: &str, total: &str, at: Timestamp) -> Value {
    json!({
        "allocationId": id, "address": "0xme", "paymentPlatform": platform, "totalAmount": total,
        "spentAmount": "0", "remainingAmount": total, "makeDeposit": false, "timestamp": at,
        "createdTs": at, "updatedTs": at,
    })
}

/// An invoice of alice's that has just come.
pub(crate) fn invoice(id: &str, agreement: &str, amount: &str) -> Value {
    json!({
        "invoiceId": id, "issuerId": "0xalice", "recipientId": "0xme", "payeeAddr": "0xp",
        "payerAddr": "0xME", "paymentPlatform": "erc20-hoodi-tglm",
        "timestamp": "2027-01-15T08:00:00Z", "agreementId": agreement, "activityIds": ["act"],
        "amount": amount, "paymentDueDate": "2027-01-16T08:00:00Z", "status": "RECEIVED",
    })
}
