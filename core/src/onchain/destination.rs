//! Where a user's coins are to go, and what that may cost: read from what JavaScript says.

use crate::chain::fees::FLOOR_SAT_PER_KW;
use crate::config::{network, shown, stray};
use crate::error::{Error, Result};
use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Network, ScriptBuf};

/// More was never paid for a block; it is a slip of the keyboard, or another unit.
const HIGHEST_SAT_PER_VB: f64 = 1_000.0;

/// What pays to that address. `INVALID_ARGUMENT` (`address`) if it is none, or one of another network.
pub fn parse_address(text: &str, ours: Network) -> Result<ScriptBuf> {
    let wrong = |what: String| Error::argument("address", format!("address is {}: {what}{}", shown(text), stray(text)));
    let address: Address<NetworkUnchecked> =
        text.parse().map_err(|_| wrong("no Bitcoin address, or one with a typing error".to_owned()))?;
    if !address.is_valid_for_network(ours) {
        return Err(wrong(format!("not an address of {}, which this wallet is on", network::name(ours))));
    }
    Ok(address.assume_checked().script_pubkey())
}

/// A feerate in sat/vB as LDK counts, rounded up. `INVALID_ARGUMENT` (`feeRate`) below what the network relays, or absurd.
pub fn parse_fee_rate(sat_per_vb: f64) -> Result<u32> {
    if !(1.0..=HIGHEST_SAT_PER_VB).contains(&sat_per_vb) {
        let what = format!("feeRate is {sat_per_vb}; it must be from 1 to {HIGHEST_SAT_PER_VB} sat/vB");
        return Err(Error::argument("feeRate", what));
    }
    // At most 250,000: the cast can't lose anything.
    Ok(((sat_per_vb * 250.0).ceil() as u32).max(FLOOR_SAT_PER_KW))
}

#[cfg(test)]
#[path = "tests/destination.rs"]
mod tests;
