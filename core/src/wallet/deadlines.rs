//! Before which block a wallet must run again.
//!
//! What becomes of a payment that we claimed, and whose preimage the LSP has not heard, is decided by the height at which the wallet
//! runs next. `E` is the HTLC's expiry:
//!
//! | height | what a start does |
//! |---|---|
//! | below `E - 39`: `wakeBy` | tells the LSP; the channel lives on. The LSP is away: nothing yet, and nothing is lost |
//! | to `E - 37` | the same, unless a block comes before the LSP has answered |
//! | from `E - 36` | LDK closes the channel with our commitment and claims the HTLC from it: the money is ours, less the fees |
//! | from `E` | the same, in a race: the LSP may take the HTLC back, which an LDK LSP begins at `E + 3` by closing itself |
//! | later | the LSP's time-out is in a block: the money is lost |
//!
//! `wakeBy` is LDK's `HTLC_FAIL_BACK_BUFFER` before the expiry: the 36 blocks in which two transactions, one after the other, are sure
//! to be confirmed (`CLTV_CLAIM_BUFFER`), and three more that may come while the LSP is being told. So a wallet that runs before
//! `wakeBy` keeps its channel, and one that runs late or can't reach its LSP then has a quarter of a day left to claim on chain.

use lightning::chain::channelmonitor::{Balance, HTLC_FAIL_BACK_BUFFER};

/// How long the LSP waits for its own money after it closed a channel: within it this wallet must run to punish an old state.
/// A week: with LDK's least, a day, a wallet that nobody pays over a weekend could be robbed. Longer only locks up more of an
/// honest LSP's money. LDK, LND, CLN and eclair accept 2,016; LSPS2's `max_client_to_self_delay` is 1,024 or 1,440 in the
/// configurations of LSPs that we know.
pub const PUNISHMENT_BLOCKS: u16 = 1_008;
/// The blocks that LDK reckons for a transaction to be confirmed (`MAX_BLOCKS_FOR_CONF`, not public): the penalty must be, within
/// that delay.
const CONFIRMS_WITHIN: u32 = 18;

/// When LDK makes a claim anew at a higher fee, by how near its deadline is (`package.rs`): each block in the last three, every third
/// in the last fifteen, else every fifteenth.
const NEAR: u32 = 3;
const FAR: u32 = 15;

/// Before that block the LSP must have heard of an HTLC with that expiry.
pub fn wake_by(expiry: u32) -> u32 {
    expiry.saturating_sub(HTLC_FAIL_BACK_BUFFER)
}

/// Before which block closed channels, which are owed this, must be looked at again; `None`: only time passes, and what comes is
/// ours alone.
pub fn closing(height: u32, owed: &[Balance]) -> Option<u32> {
    owed.iter()
        .filter_map(|balance| blocks_until_look(height, balance))
        .min()
        .map(|blocks| height.saturating_add(blocks))
}

fn blocks_until_look(height: u32, owed: &Balance) -> Option<u32> {
    match owed {
        // What closes the channel is in no block yet, or the LSP cheated: its HTLC transactions must be followed as they come.
        Balance::ClaimableOnChannelClose { .. } | Balance::CounterpartyRevokedOutputClaimable { .. } => {
            (owed.claimable_amount_satoshis() > 0).then_some(1)
        }
        Balance::ContentiousClaimable { timeout_height: deadline, .. }
        | Balance::MaybeTimeoutClaimableHTLC { claimable_height: deadline, .. } => {
            let left = deadline.saturating_sub(height);
            Some(if left <= NEAR {
                1
            } else if left <= FAR {
                NEAR
            } else {
                FAR
            })
        }
        Balance::ClaimableAwaitingConfirmations { .. } | Balance::MaybePreimageClaimableHTLC { .. } => None,
    }
}

/// Before which block the wallet must run again: for what is at stake (`wake_by`), or to see whether the LSP closed an open channel
/// with a state that it had revoked.
pub fn next_by(height: u32, wake_by: Option<u32>, has_open_channels: bool) -> Option<u32> {
    let soonest = height.saturating_add(1);
    let cheated = soonest.saturating_add(u32::from(PUNISHMENT_BLOCKS) - CONFIRMS_WITHIN);
    let routine = has_open_channels.then_some(cheated);
    wake_by.into_iter().chain(routine).min().map(|by| by.max(soonest))
}
