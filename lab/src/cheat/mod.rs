//! The LSP as a thief: it publishes one of its old commitments, from before its client was paid, and takes what it can.
//!
//! An old commitment is a valid transaction, signed by both, which the LSP has promised never to publish: its client holds the
//! secret that takes all of it (BOLT 5, revoked transactions). Nothing is forged here. [`Memory`] keeps the LSP's monitors as
//! they were at each of its commitments; a [`Theft`] lets such a monitor of LDK's act: it publishes the commitment, times its HTLCs
//! out when they expire, and spends whatever its delays let go, as LDK would for an honest node.
//!
//! What must hold: the thief is as good as a real one, or a wallet that wins has won against nobody. So it follows the chain block
//! by block, and each of its coins is spent alone: what the wallet takes from it must not hold up the rest.

mod memory;
mod theft;

pub use memory::{Htlc, Memory, State};
pub use theft::Theft;

use lightning::util::ser::ReadableArgs;
use mayfly_core::ldk::ChannelMonitor;
use mayfly_core::onchain::Signer;

/// A monitor as it was written.
fn read_monitor(mut bytes: &[u8], keys: &Signer) -> Option<ChannelMonitor> {
    let read = <(bitcoin::BlockHash, ChannelMonitor)>::read(&mut bytes, (keys, keys));
    read.ok().map(|(_, monitor)| monitor)
}
