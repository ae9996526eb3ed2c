//! Deposits of allocations: what can be told of one without its contract. Does not own contracts.

use golem_wire::payment::Deposit;

/// What is wrong with a deposit, in the daemon's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DepositError {
    /// The contract is no address.
    #[error("Invalid deposit contract address")]
    Contract,
    /// The id is no number of 256 bits.
    #[error("Invalid deposit id")]
    Id,
}

impl DepositError {
    /// The last part of the problem's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            DepositError::Contract => "malformed-deposit-contract",
            DepositError::Id => "malformed-deposit-id",
        }
    }
}

/// Whether `deposit` could be one; the daemon asks the contract next.
///
/// # Errors
/// The contract is judged first.
pub(crate) fn check(deposit: &Deposit) -> Result<(), DepositError> {
    let digits = |text: &str| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        hexadecimal.then_some(digits.len())
    };
    if digits(&deposit.contract) != Some(40) {
        return Err(DepositError::Contract);
    }
    match digits(&deposit.id) {
        Some(0..=64) => Ok(()),
        _ => Err(DepositError::Id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_an_address_and_the_id_a_number_of_256_bits() {
        let contract = "0x6de1d8a3b1e6e7e0f4f1d5b7a0d7b6b1e5a4c3d2";
        let judge = |id: &str, contract: &str| {
            check(&Deposit {
                id: id.into(),
                contract: contract.into(),
                validate: None,
            })
        };
        // As asked of the real daemon.
        for id in ["", "16", "0x10"] {
            assert_eq!(judge(id, contract), Ok(()), "{id}");
        }
        assert_eq!(judge("0x10", &contract[2..]), Ok(()));
        let large = "f".repeat(70);
        for id in ["zz", "-1", &large] {
            assert_eq!(judge(id, contract), Err(DepositError::Id), "{id}");
        }
        for bad in ["", "nope", &format!("{contract}0")] {
            assert_eq!(judge("zz", bad), Err(DepositError::Contract), "{bad}");
        }
    }
}
