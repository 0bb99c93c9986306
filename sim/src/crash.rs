//! A crash point: both sides die, start again from what is left, and must live on as if nothing had happened.

use crate::bank::Bank;
use crate::oracle::{self, Oracle, Wrong};
use crate::schedule::Kind;
use crate::sim::{Remains, Sim};
use mayfly_core::checkpoint::rows::NODE;
use mayfly_core::checkpoint::Loaded;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Timer ticks after which LDK has given up on what will not come: parts of a payment that are missing.
const TICKS: usize = 4;
/// Rounds of mining after which every delay here has passed several times: an HTLC's 165 blocks, the week of
/// `to_self_delay` that a wallet asks for.
const CLOSING_ROUNDS: usize = 120;
/// What is paid over each channel afterwards.
const AFTERWARDS_MSAT: u64 = 1_000_000;

/// What tells one crash point from another: the LSP's state, ours, and the chain.
pub fn fingerprint(remains: &Remains) -> u64 {
    let mut hasher = DefaultHasher::new();
    remains.peer.rows.hash(&mut hasher);
    for (key, row) in &remains.rows {
        // The node's own row tells the time.
        if key != NODE {
            (key, row).hash(&mut hasher);
        }
    }
    remains.world.best().block_hash.hash(&mut hasher);
    hasher.finish()
}

/// What goes wrong after a crash that leaves this.
pub async fn survive(remains: Remains) -> Vec<Wrong> {
    let mut sim = match Sim::start(remains).await {
        Ok(sim) => sim,
        Err(error) => return vec![Wrong { oracle: Oracle::Loads, what: error.to_string() }],
    };
    finish(&mut sim).await;
    sim.bank.wrongs
}

/// Two nodes come to rest, all that must hold is looked at, and payments pass both ways.
pub async fn finish(sim: &mut Sim) {
    sim.reconnect().await;
    for _ in 0..TICKS {
        sim.wake_both().await;
    }
    close_for_good(sim).await;
    oracle::at_rest(sim);
    if sim.bank.wrongs.is_empty() {
        pay_both_ways(sim).await;
        oracle::at_rest(sim);
    }
}

/// Blocks are mined until nothing of a closed channel is on its way any more: time locks end, claims become final.
async fn close_for_good(sim: &mut Sim) {
    if !sim.bank.a_close_was_asked_for() {
        return;
    }
    for round in 0..CLOSING_ROUNDS {
        sim.world.mine(if round < 8 { 1 } else { 24 });
        // The LSP had its time to say otherwise: see `node/patience.rs`.
        if round == 8 {
            sim.ours.loaded.broadcasts().trust_all();
        }
        sim.wake_both().await;
        for side in [&sim.ours.loaded, &sim.peer.loaded] {
            side.monitors().rebroadcast_pending_claims();
        }
        sim.settle().await;
        if round > 10 && !sim.is_closing() {
            return;
        }
    }
    let balances = |side: &Loaded| side.monitors().get_claimable_balances(&[]);
    let what =
        format!("the wallet still has {:?}, the LSP {:?}", balances(&sim.ours.loaded), balances(&sim.peer.loaded));
    sim.bank.wrong(Oracle::Settles, what);
}

async fn pay_both_ways(sim: &mut Sim) {
    let channels = sim.peer.usable().len();
    if channels == 0 {
        return;
    }
    let before = count(&sim.bank);
    sim.pay(channels as u8, AFTERWARDS_MSAT, Kind::Good);
    let to_wallet = count(&sim.bank).0 - before.0;
    sim.settle().await;
    sim.pay_back(1, AFTERWARDS_MSAT / 2, true);
    let to_peer = count(&sim.bank).1 - before.1;
    sim.settle().await;
    sim.wake_both().await;
    let after = count(&sim.bank);
    if after.2 - before.2 != to_wallet || after.3 - before.3 != to_peer {
        let what = format!("{to_wallet} payments to the wallet and {to_peer} back, and not all arrived");
        sim.bank.wrong(Oracle::PaysAgain, what);
    }
}

/// Payments to the wallet and to the LSP: begun, and come through.
fn count(bank: &Bank) -> (usize, usize, usize, usize) {
    let learnt = bank.to_wallet.values().filter(|payment| payment.learnt).count();
    let received = bank.to_peer.values().filter(|payment| payment.received).count();
    (bank.to_wallet.len(), bank.to_peer.len(), learnt, received)
}
