//! What must hold, one function per promise. The crash simulator looks at every step, and at every world after a crash.

use crate::bank::Bank;
use crate::sim::Sim;
use bitcoin::hashes::{sha256, Hash};
use bitcoin::Transaction;
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::msgs::MessageSendEvent;
use mayfly_core::checkpoint::rows::{LEDGER_PREFIX, MONITOR_PREFIX, NODE, OUTBOX_PREFIX};
use mayfly_core::events::{EventType, PaymentEvent};
use mayfly_core::store::memory::MemoryWallet;
use mayfly_core::wallet::holdings::SPENDABLE_PREFIX;
use mayfly_core::wallet::Wallet;
use std::collections::BTreeSet;

/// The promises, by the names that reports and tests use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oracle {
    /// What was committed loads (LDK's `DangerousValue` and `InvalidValue` do not).
    Loads,
    /// The wallet does not end on its own after a crash.
    NoFault,
    /// No channel is closed that the schedule did not ask for.
    NoForceClose,
    /// No HTLC is left pending.
    NothingPending,
    /// What a payer holds a preimage for is in our committed ledger.
    PayersPreimageIsInLedger,
    /// What was reported as received is in the committed ledger.
    ReceivedIsInLedger,
    /// An event that was not acknowledged is told again, under the same id.
    EventsAreNotLost,
    /// A message leaves after the commit that covers it.
    MessagesAfterCommit,
    /// So does a transaction.
    BroadcastsAfterCommit,
    /// A kept promise is durable.
    PromisesAfterCommit,
    /// A fenced holder emits nothing.
    FencedIsSilent,
    /// Channel balances, chain and fees add up to what was there.
    NoSatsCreatedOrLost,
    /// Payments pass both ways again.
    PaysAgain,
    /// Two nodes that only talk come to rest.
    Settles,
    /// A payment that the wallet should take does not fail.
    GoodPaymentsArrive,
    /// Nothing panics.
    NoPanic,
}

/// A promise that was broken, and how.
#[derive(Clone, Debug)]
pub struct Wrong {
    pub oracle: Oracle,
    pub what: String,
}

/// What is handed to JavaScript is committed: its row and, for a payment, the ledger's. Handed out here, too.
pub fn events_are_committed(wallet: &Wallet, store: &MemoryWallet, bank: &mut Bank) {
    if wallet.outbox.iter().next().is_none() {
        return;
    }
    let (ids, ledger) = (outbox_ids(store), ledger_hashes(store));
    for event in wallet.outbox.iter() {
        if !ids.contains(&event.id) {
            bank.wrong(Oracle::ReceivedIsInLedger, format!("event {} was handed out before its commit", event.id));
        }
        if event.event_type == EventType::Received && !ledger.contains(&event.payment_hash) {
            bank.wrong(Oracle::ReceivedIsInLedger, format!("{} was reported and is in no ledger", event.payment_hash));
        }
        match bank.told.get(&event.id) {
            Some(before) if before.payment_hash != event.payment_hash || before.amount_msat != event.amount_msat => {
                bank.wrong(Oracle::EventsAreNotLost, format!("event {} was told with another content", event.id));
            }
            _ => drop(bank.told.insert(event.id.clone(), event.clone())),
        }
    }
}

/// A message's words that a crash must not take back are in the store.
pub fn message_is_committed(message: &MessageSendEvent, store: &MemoryWallet, bank: &mut Bank) {
    match message {
        MessageSendEvent::UpdateHTLCs { updates, .. } => {
            for fulfill in &updates.update_fulfill_htlcs {
                let hash = sha256::Hash::hash(&fulfill.payment_preimage.0).to_string();
                if !ledger_hashes(store).contains(&hash) {
                    bank.wrong(
                        Oracle::MessagesAfterCommit,
                        format!("the preimage of {hash} left before the ledger's row"),
                    );
                }
            }
        }
        MessageSendEvent::SendFundingSigned { msg, .. } if store.rows_under(MONITOR_PREFIX).is_empty() => {
            let what = format!("funding_signed of {} left before any monitor was committed", msg.channel_id);
            bank.wrong(Oracle::MessagesAfterCommit, what);
        }
        _ => {}
    }
}

/// A fenced holder says nothing: what needs no commit needs the store's word. But for a `channel_reestablish` that had it, and waited for
/// the peer's: that fits what the peer has just said of the state, and real sockets are shut by then (`mayfly_core::lease`).
pub fn fenced_is_silent(said: &[MessageSendEvent], bank: &mut Bank) {
    let needs_it = |message: &&MessageSendEvent| !matches!(message, MessageSendEvent::SendChannelReestablish { .. });
    if let Some(message) = said.iter().find(needs_it) {
        bank.wrong(Oracle::FencedIsSilent, format!("a fenced holder said {}", crate::wire::name(message)));
    }
}

/// A transaction of ours that closes a channel: the committed wallet has it closed.
pub fn broadcast_is_committed(tx: &Transaction, store: &MemoryWallet, bank: &mut Bank) {
    let rows = store.rows_under(NODE);
    let node: serde_json::Value = rows.get(NODE).and_then(|row| serde_json::from_slice(row).ok()).unwrap_or_default();
    let open = node["summary"]["channels"].as_array().cloned().unwrap_or_default();
    for input in &tx.input {
        let spent = input.previous_output;
        let is_it = |channel: &serde_json::Value| {
            channel["funding_txid"] == spent.txid.to_string() && channel["funding_vout"] == spent.vout
        };
        if open.iter().any(is_it) {
            let what = format!("{} closes a channel that the committed wallet has open", tx.compute_txid());
            bank.wrong(Oracle::BroadcastsAfterCommit, what);
        }
    }
}

/// Below it an HTLC may have no output: the dust limit and the fee of the transaction that claims it, at the feerates here.
const DUST_MSAT: u64 = 3_000_000;

/// Everything that must hold once two nodes that crashed have come to rest.
pub fn at_rest(sim: &mut Sim) {
    if let Some(error) = sim.ours.over() {
        sim.bank.wrong(Oracle::NoFault, error.to_string());
        return;
    }
    channels_live(sim);
    nothing_pending(sim);
    ledger_is_complete(sim);
    events_are_not_lost(sim);
    good_payments_arrive(sim);
    balances_add_up(sim);
}

/// Every funded channel that nobody asked to close is open and usable on both sides.
fn channels_live(sim: &mut Sim) {
    let (ours, theirs) = (sim.ours.usable(), sim.peer.usable());
    for (id, channel) in sim.bank.channels.clone() {
        if channel.asked_to_close {
            continue;
        }
        let usable = |channels: &[ChannelDetails]| channels.iter().any(|channel| channel.channel_id == id);
        if !usable(&ours) || !usable(&theirs) {
            let reason = channel.closed.unwrap_or_else(|| "the LSP has it open".to_owned());
            let what = format!(
                "channel {id}: usable at the wallet: {}, at the LSP: {}: {reason}",
                usable(&ours),
                usable(&theirs)
            );
            sim.bank.wrong(Oracle::NoForceClose, what);
        }
    }
}

fn nothing_pending(sim: &mut Sim) {
    let (ours, theirs) =
        (pending(&sim.ours.loaded.manager().list_channels()), pending(&sim.peer.manager().list_channels()));
    if ours + theirs > 0 {
        sim.bank.wrong(Oracle::NothingPending, format!("{ours} HTLCs at the wallet, {theirs} at the LSP"));
    }
}

/// HTLCs in flight, either way.
pub fn pending(channels: &[ChannelDetails]) -> usize {
    channels.iter().map(|c| c.pending_inbound_htlcs.len() + c.pending_outbound_htlcs.len()).sum()
}

/// The ledger holds what payers hold preimages for, and nothing that they do not.
fn ledger_is_complete(sim: &mut Sim) {
    let ledger = ledger_hashes(&sim.store);
    for (hash, payment) in sim.bank.to_wallet.clone() {
        let hash = hex(&hash);
        if payment.learnt && !ledger.contains(&hash) {
            sim.bank.wrong(Oracle::PayersPreimageIsInLedger, format!("{hash} of {} msat", payment.msat));
        }
        // An HTLC too small for an output of its own is a fee once its channel is closed.
        let burnt = payment.part_msat < DUST_MSAT && sim.bank.a_close_was_asked_for();
        if payment.failed && ledger.contains(&hash) && !burnt {
            sim.bank.wrong(Oracle::NoSatsCreatedOrLost, format!("{hash} is in the ledger, and the payer has it back"));
        }
    }
    let known: BTreeSet<String> = sim.bank.to_wallet.keys().map(|hash| hex(hash)).collect();
    if let Some(unknown) = ledger.iter().find(|hash| !known.contains(*hash)) {
        sim.bank.wrong(Oracle::ReceivedIsInLedger, format!("{unknown} is in the ledger and nobody paid it"));
    }
}

/// Each payment of the ledger has one event; it is acknowledged, or still told.
fn events_are_not_lost(sim: &mut Sim) {
    let Some(wallet) = sim.ours.at_rest() else { return };
    let waiting: Vec<PaymentEvent> = wallet.outbox.iter().cloned().collect();
    for hash in ledger_hashes(&sim.store) {
        let of_it = |event: &&PaymentEvent| event.event_type == EventType::Received && event.payment_hash == hash;
        let ids: BTreeSet<&str> =
            sim.bank.told.values().chain(&waiting).filter(of_it).map(|event| event.id.as_str()).collect();
        let mut id = ids.iter();
        let (Some(id), None) = (id.next(), id.next()) else {
            let what = format!("payment {hash} was told under {} ids", ids.len());
            sim.bank.wrong(Oracle::EventsAreNotLost, what);
            continue;
        };
        let waits = waiting.iter().any(|event| event.id == *id);
        if !waits && !sim.bank.wished.contains(*id) {
            let what = format!("event {id} is gone and nobody acknowledged it");
            sim.bank.wrong(Oracle::EventsAreNotLost, what);
        }
    }
}

fn good_payments_arrive(sim: &mut Sim) {
    for (hash, payment) in sim.bank.to_wallet.clone() {
        if payment.good && payment.single && payment.failed && !sim.bank.a_close_was_asked_for() {
            sim.bank.wrong(Oracle::GoodPaymentsArrive, format!("{} of {} msat failed", hex(&hash), payment.msat));
        }
        if !payment.good && payment.learnt {
            sim.bank.wrong(Oracle::NoSatsCreatedOrLost, format!("{} should have been refused", hex(&hash)));
        }
    }
}

/// To the millisatoshi, on both sides, and in what JavaScript is told. Of closed channels every output is somebody's, and what
/// the wallet has is what it was paid, but for the fees.
fn balances_add_up(sim: &mut Sim) {
    let Some(wallet) = sim.ours.at_rest() else { return };
    let balance = wallet.summary().balance;
    // What waits for a sweep is still pending, and ours for good.
    let unswept = wallet.holdings.pending_sats();
    let coins = wallet.holdings.row().coins.iter().map(|coin| coin.outpoint().to_string());
    let spendable = sim.store.rows_under(SPENDABLE_PREFIX);
    let mine: BTreeSet<String> =
        spendable.keys().map(|key| key[SPENDABLE_PREFIX.len()..].to_owned()).chain(coins).collect();
    let expected = sim.bank.wallet_msat();
    let (mut fees, mut open_sats) = (0, 0);
    for (id, channel) in sim.bank.channels.clone() {
        let (leaves, paid) = sim.world.leaves(channel.funding);
        fees += paid;
        if leaves == [channel.funding] {
            open_sats += sim.world.value(channel.funding).unwrap_or(0);
            continue;
        }
        for leaf in leaves {
            if !mine.contains(&leaf.to_string()) && !sim.bank.peer_spendable.contains_key(&leaf) {
                let what = format!("{leaf} of closed channel {id} is nobody's");
                sim.bank.wrong(Oracle::NoSatsCreatedOrLost, what);
            }
        }
    }
    if balance.pending_close_sats > unswept {
        sim.bank.wrong(Oracle::NoSatsCreatedOrLost, format!("of {balance:?} only {unswept} sat wait for a sweep"));
    }
    let has = balance.lightning_msat as i64 + (balance.onchain_sats + unswept) as i64 * 1_000;
    let tolerance = fees as i64 * 1_000;
    if (has - expected).abs() > tolerance {
        let what = format!("the wallet has {balance:?}, received less sent is {expected} msat, fees are {fees} sat");
        sim.bank.wrong(Oracle::NoSatsCreatedOrLost, what);
    }
    let theirs: i64 = sim.peer.manager().list_channels().iter().map(own_msat).sum();
    let open = open_sats as i64 * 1_000;
    if theirs + balance.lightning_msat as i64 != open {
        let what = format!("the LSP has {theirs} msat, the wallet {balance:?}, and open channels hold {open}");
        sim.bank.wrong(Oracle::NoSatsCreatedOrLost, what);
    }
}

/// What is the LSP's in a channel, reserve included, when nothing is in flight.
fn own_msat(channel: &ChannelDetails) -> i64 {
    if channel.funding_txo.is_none() {
        return 0;
    }
    // The wallet's side as the LSP sees it, when that is above its reserve; else what the LSP can send.
    let whole = channel.channel_value_satoshis as i64 * 1_000;
    if channel.inbound_capacity_msat > 0 {
        let theirs = channel.inbound_capacity_msat + channel.counterparty.unspendable_punishment_reserve * 1_000;
        return whole - theirs as i64;
    }
    channel.outbound_capacity_msat as i64 + channel.unspendable_punishment_reserve.unwrap_or(0) as i64 * 1_000
}

/// The payment hashes of the committed ledger.
pub fn ledger_hashes(store: &MemoryWallet) -> BTreeSet<String> {
    store.rows_under(LEDGER_PREFIX).values().filter_map(|row| text_of(row, "payment_hash")).collect()
}

/// The ids of the events that the store holds.
pub fn outbox_ids(store: &MemoryWallet) -> BTreeSet<String> {
    store.rows_under(OUTBOX_PREFIX).values().filter_map(|row| text_of(row, "id")).collect()
}

fn text_of(row: &[u8], field: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(row).ok()?;
    value.get(field)?.as_str().map(str::to_owned)
}

/// Lowercase hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
