//! When a height is too old to decide anything by.
//!
//! Whether a payment may still be claimed, and when its HTLC must be claimed on chain, is judged by the height that was last heard of.
//! A server that hangs back, or that is not heard any more, can't be told from a chain on which nothing happens, but by the clock.
//!
//! What must hold: no decision is made by a height that may be further behind than `sync.rs` allows a server to be. What fails how:
//! `CHAIN_UNAVAILABLE`, retryable; nothing is lost by it that another start, or another server, would not bring.

use super::sync::MAX_LAG;
use bitcoin::Network;
use std::time::Duration;

/// The average time between blocks.
const BLOCK: Duration = Duration::from_secs(600);

/// A running node that has not followed the chain for so long does not know its height: `MAX_LAG` blocks.
pub const UNHEARD: Duration = Duration::from_secs(BLOCK.as_secs() * MAX_LAG as u64);

/// Older than this, mainnet's newest block is not the newest one. Blocks come every ten minutes on average, independently: six hours
/// without one happen once in the age of the universe. Two of them are for the times that miners write (up to two hours ahead of the
/// clock, and behind it by about one), and for a clock of ours that is wrong.
const OLDEST_TIP: Duration = Duration::from_secs(8 * 3_600);

/// How old a tip's block is, if that is too old. Only mainnet's blocks come by themselves all day.
pub(super) fn too_old(network: Network, block_time: u32, now: Duration) -> Option<Duration> {
    let age = now.saturating_sub(Duration::from_secs(block_time.into()));
    (network == Network::Bitcoin && age > OLDEST_TIP).then_some(age)
}
