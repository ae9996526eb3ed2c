//! Seeded randomness: one independent ChaCha stream per label, so that a new draw in one place
//! does not shift the draws of all others.

use std::ops::{Deref, DerefMut};

use chacha20::ChaCha8Rng;
use rand::SeedableRng;
use sha3::{Digest, Sha3_256};

/// The seed of a simulated network. The same seed and the same requests give the same network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed from a number, as people write it on a command line.
    pub fn from_u64(seed: u64) -> Self {
        Seed(Sha3_256::digest(seed.to_le_bytes()).into())
    }

    /// The seed of a part of the network, independent of every other label's.
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

    /// The same as a part of the network's state.
    pub(crate) fn stream(&self) -> Stream {
        Stream(self.rng())
    }
}

/// A random stream that is part of the network's state: a copy goes on as the original would.
#[derive(Debug)]
pub(crate) struct Stream(ChaCha8Rng);

impl Clone for Stream {
    fn clone(&self) -> Self {
        Stream(ChaCha8Rng::deserialize_state(&self.0.serialize_state()))
    }
}

impl Deref for Stream {
    type Target = ChaCha8Rng;

    fn deref(&self) -> &ChaCha8Rng {
        &self.0
    }
}

impl DerefMut for Stream {
    fn deref_mut(&mut self) -> &mut ChaCha8Rng {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn forks_of_one_seed_differ_by_label_and_repeat_by_label() {
        let seed = Seed::from_u64(7);
        let draw = |label: &str| seed.fork(label).rng().random::<u64>();
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
    }

    #[test]
    fn a_copied_stream_goes_on_as_the_original_does() {
        let mut stream = Seed::from_u64(7).stream();
        // In the middle of a block.
        let _: [u32; 5] = stream.random();
        let mut copy = stream.clone();
        for _ in 0..100 {
            assert_eq!(copy.random::<u32>(), stream.random::<u32>());
        }
    }
}
