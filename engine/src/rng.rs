//! Seeded randomness: one independent ChaCha stream per label, so that a new draw in one place does
//! not shift the draws of all others.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha3::{Digest, Sha3_256};

/// Where every random choice of an engine comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed from a number, for runs that must repeat.
    pub fn from_u64(seed: u64) -> Self {
        Seed(Sha3_256::digest(seed.to_le_bytes()).into())
    }

    /// A fresh seed from the operating system, for production.
    pub fn from_os() -> Self {
        // Every `RandomState` of a process carries fresh random keys.
        use std::hash::{BuildHasher, RandomState};
        let mut hash = Sha3_256::new();
        for round in 0..4u8 {
            hash.update(RandomState::new().hash_one(round).to_le_bytes());
        }
        hash.update(std::process::id().to_le_bytes());
        Seed(hash.finalize().into())
    }

    /// The seed of a part of the engine, independent of every other label's.
    pub fn fork(&self, label: &str) -> Seed {
        let mut hash = Sha3_256::new();
        hash.update(self.0);
        hash.update(label.as_bytes());
        Seed(hash.finalize().into())
    }

    /// The random stream of this seed.
    pub fn rng(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.0)
    }

    /// `digits` hex digits, for ids.
    pub fn hex(&self, digits: usize) -> String {
        let mut bytes = vec![0u8; digits.div_ceil(2)];
        self.rng().fill_bytes(&mut bytes);
        let mut text = hex::encode(bytes);
        text.truncate(digits);
        text
    }
}

/// Secrets may be derived from it, so it is not shown.
impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_of_one_seed_differ_by_label_and_repeat_by_label() {
        let seed = Seed::from_u64(7);
        assert_eq!(seed.fork("a").hex(32), seed.fork("a").hex(32));
        assert_ne!(seed.fork("a").hex(32), seed.fork("b").hex(32));
    }

    #[test]
    fn two_seeds_from_the_system_differ() {
        assert_ne!(Seed::from_os(), Seed::from_os());
    }

    #[test]
    fn an_odd_number_of_digits_is_kept() {
        assert_eq!(Seed::from_u64(1).hex(7).len(), 7);
    }
}
