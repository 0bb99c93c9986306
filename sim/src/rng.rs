//! The randomness of a schedule. Apart from what LDK draws (`owned.rs`), so that a step more or less changes no other step.

use crate::owned::mix;

/// A seeded generator.
pub struct Rng(u64);

impl Rng {
    /// Seeds next to each other begin unlike each other.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Rng(mix(&mut state))
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        mix(&mut self.0) % bound
    }

    /// True `of` times in `in_all`.
    pub fn chance(&mut self, of: u64, in_all: u64) -> bool {
        self.below(in_all) < of
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
