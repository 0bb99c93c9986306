//! The consensus rules around the scripts.
//!
//! libbitcoinconsensus verifies scripts and nothing else, so what Bitcoin Core checks before and after it is written out
//! here: amounts, coinbase maturity, absolute finality by median time past (BIP 113) and relative locks (BIP 68). The
//! last one carries Lightning: OP_CHECKSEQUENCEVERIFY only compares numbers *inside* the transaction, so without BIP 68 a
//! `to_self_delay` would be spendable at once and every test of a force-close would lie.
//!
//! Reasons of refusal are spelled as Bitcoin Core spells them, so that what a node learns to read here is what it will
//! read there. Not covered: signature operation limits and most of standardness (a transaction that is accepted here may
//! still be refused by a default bitcoind).

use std::collections::HashSet;

use bitcoin::absolute::LOCK_TIME_THRESHOLD;
use bitcoin::block::Header;
use bitcoin::consensus::encode::serialize;
use bitcoin::{Amount, Sequence, Transaction, TxOut};

/// Blocks that must lie on top of a coinbase before it is spent.
pub const COINBASE_MATURITY: u32 = 100;

/// Regtest halves its subsidy this often, so that halvings are reached in a test.
const HALVING_INTERVAL: u32 = 150;

/// BIP 113: the median is taken over this many headers.
const MEDIAN_SPAN: usize = 11;

/// An unspent output with what its spender's rules need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    pub output: TxOut,
    /// Height of the block that holds it; the next block's height while it is in the mempool.
    pub height: u32,
    pub coinbase: bool,
}

/// What a block at `height` may create, without fees.
pub fn subsidy(height: u32) -> Amount {
    let halvings = height / HALVING_INTERVAL;
    Amount::from_sat(50_0000_0000u64.checked_shr(halvings).unwrap_or(0))
}

/// BIP 113's clock after the block at `height`: the median of it and its ten predecessors, in Unix seconds.
pub fn median_time_past(headers: &[Header], height: u32) -> u32 {
    let end = (height as usize + 1).min(headers.len());
    let start = end.saturating_sub(MEDIAN_SPAN);
    let mut times: Vec<u32> = headers[start..end].iter().map(|h| h.time).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

/// What is wrong with a transaction in any context.
pub fn check_shape(tx: &Transaction) -> Result<(), String> {
    if tx.input.is_empty() {
        return Err("bad-txns-vin-empty".into());
    }
    if tx.output.is_empty() {
        return Err("bad-txns-vout-empty".into());
    }
    let mut total = Amount::ZERO;
    for output in &tx.output {
        total = match total.checked_add(output.value) {
            Some(sum) if output.value <= Amount::MAX_MONEY && sum <= Amount::MAX_MONEY => sum,
            _ => return Err("bad-txns-txouttotal-toolarge".into()),
        };
    }
    let mut seen = HashSet::new();
    if !tx.input.iter().all(|input| seen.insert(input.previous_output)) {
        return Err("bad-txns-inputs-duplicate".into());
    }
    if !tx.is_coinbase() && tx.input.iter().any(|input| input.previous_output.is_null()) {
        return Err("bad-txns-prevout-null".into());
    }
    Ok(())
}

/// Checks `tx` as part of the block after `headers`, with `coins` in the order of its inputs. Returns its fee.
pub fn check_spend(tx: &Transaction, coins: &[Coin], headers: &[Header]) -> Result<Amount, String> {
    let next = headers.len() as u32;
    if !is_final(tx, next, median_time_past(headers, next - 1)) {
        return Err("non-final".into());
    }
    if let Some(coin) = coins.iter().find(|c| c.coinbase && next.saturating_sub(c.height) < COINBASE_MATURITY) {
        let depth = next.saturating_sub(coin.height);
        return Err(format!("bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth {depth}"));
    }
    if !relative_locks_passed(tx, coins, headers) {
        return Err("non-BIP68-final".into());
    }
    let value_in: Amount = coins.iter().map(|c| c.output.value).sum();
    let value_out: Amount = tx.output.iter().map(|o| o.value).sum();
    let fee = value_in
        .checked_sub(value_out)
        .ok_or_else(|| format!("bad-txns-in-belowout, value in ({value_in}) < value out ({value_out})"))?;
    check_scripts(tx, coins)?;
    Ok(fee)
}

/// Core's `IsFinalTx`: the lock time lies strictly before the block, or every input opted out.
fn is_final(tx: &Transaction, height: u32, median_time: u32) -> bool {
    let lock = tx.lock_time.to_consensus_u32();
    let now = if lock < LOCK_TIME_THRESHOLD { height } else { median_time };
    lock < now || tx.input.iter().all(|input| input.sequence == Sequence::MAX)
}

/// BIP 68, as Core's `CalculateSequenceLocks` and `EvaluateSequenceLocks` have it.
fn relative_locks_passed(tx: &Transaction, coins: &[Coin], headers: &[Header]) -> bool {
    // The version is compared as unsigned: a "negative" version enforces the locks too.
    if (tx.version.0 as u32) < 2 {
        return true;
    }
    let next = headers.len() as u64;
    let median_time = u64::from(median_time_past(headers, headers.len() as u32 - 1));
    tx.input.iter().zip(coins).all(|(input, coin)| {
        let value = u64::from(input.sequence.0 & 0xffff);
        if input.sequence.is_time_locked() {
            // Counted from the median time before the coin's block, in units of 512 seconds.
            let since = u64::from(median_time_past(headers, coin.height.saturating_sub(1)));
            since + (value << 9) <= median_time
        } else if input.sequence.is_height_locked() {
            u64::from(coin.height) + value <= next
        } else {
            true
        }
    })
}

/// Every input's script by Bitcoin Core's own interpreter.
fn check_scripts(tx: &Transaction, coins: &[Coin]) -> Result<(), String> {
    let raw = serialize(tx);
    // Taproot commits to all spent outputs. The pointers live as long as `coins`, which outlives the calls.
    let spent: Vec<bitcoinconsensus::Utxo> = coins
        .iter()
        .map(|coin| bitcoinconsensus::Utxo {
            script_pubkey: coin.output.script_pubkey.as_bytes().as_ptr(),
            script_pubkey_len: coin.output.script_pubkey.len() as u32,
            value: coin.output.value.to_sat() as i64,
        })
        .collect();
    let flags = bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT | bitcoinconsensus::VERIFY_TAPROOT;
    for (index, coin) in coins.iter().enumerate() {
        let script = coin.output.script_pubkey.as_bytes();
        let value = coin.output.value.to_sat();
        bitcoinconsensus::verify_with_flags(script, value, &raw, Some(&spent), index, flags)
            // ERR_SCRIPT's own text is about its number; what it means is that the script said no.
            .map_err(|e| match e {
                bitcoinconsensus::Error::ERR_SCRIPT => {
                    format!("mandatory-script-verify-flag-failed (input {index} of {})", tx.compute_txid())
                }
                other => format!("script verification of input {index} impossible: {other}"),
            })?;
    }
    Ok(())
}
