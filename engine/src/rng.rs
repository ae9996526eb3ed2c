//! Seeded randomness: one independent ChaCha stream per label, so that a new draw in one place does
//! not shift the draws of all others.

use chacha20::ChaCha8Rng;
use rand::rngs::SysRng;
use rand::{Rng, SeedableRng, TryRng};
use sha3::{Digest, Sha3_256};

/// The operating system gives no random bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes: {0}")]
pub struct NoEntropy(String);

/// Where every random choice of an engine comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed from a number, for runs that must repeat.
    pub fn from_u64(seed: u64) -> Self {
        Seed(Sha3_256::digest(seed.to_le_bytes()).into())
    }

    /// A fresh seed from the operating system, for production: names that nobody may guess are
    /// drawn from it.
    ///
    /// # Errors
    /// [`NoEntropy`], when the operating system gives no random bytes.
    pub fn from_os() -> Result<Self, NoEntropy> {
        let mut bytes = [0; 32];
        SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|error| NoEntropy(error.to_string()))?;
        Ok(Seed(bytes))
    }

    /// The seed of a part of the engine, independent of every other label's.
    pub fn fork(&self, label: &str) -> Seed {
        let mut hash = Sha3_256::new();
        hash.update(self.0);
        hash.update(label.as_bytes());
        Seed(hash.finalize().into())
    }

    /// The seed of an engine: engines with one seed, one after the other or at once, draw different
    /// names. The first of them draws from the seed itself.
    pub(crate) fn of_engine(self, earlier: u64) -> Seed {
        match earlier {
            0 => self,
            n => self.fork(&format!("after {n} engines")),
        }
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
        let fresh = || Seed::from_os().expect("random bytes");
        assert_ne!(fresh(), fresh());
    }

    #[test]
    fn an_odd_number_of_digits_is_kept() {
        assert_eq!(Seed::from_u64(1).hex(7).len(), 7);
    }
}
