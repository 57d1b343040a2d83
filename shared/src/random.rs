//! Randomness, injected: ids, tokens and jitter.

use std::sync::Mutex;

pub trait Random: Send + Sync {
    /// Fills the whole buffer.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Random + '_ {
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A number from 0 to 1, excluding 1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        f64::from(u32::from_ne_bytes(self.bytes())) / (f64::from(u32::MAX) + 1.0)
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system for random bytes"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        // On Linux this fails only where the system call is forbidden, and an id made without it
        // would not be safe to use.
        assert!(
            getrandom::fill(bytes).is_ok(),
            "the system has no random bytes"
        );
    }
}

/// Bytes that are the same for the same seed, for tests (`SplitMix64`, Steele et al. 2014).
#[derive(Debug)]
pub struct SeededRandom(Mutex<u64>);

impl SeededRandom {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = *state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}
