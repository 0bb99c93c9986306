//! What a thief keeps: every commitment of its own that its client has signed, revoked since or not.

use super::read_monitor;
use crate::node::{Base, LabFees};
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Amount, Transaction, TxOut, Txid};
use lightning::chain::chaininterface::BroadcasterInterface;
use lightning::chain::channelmonitor::Balance;
use lightning::ln::types::ChannelId;
use lightning::util::ser::Writeable;
use mayfly_core::ldk::ChannelMonitor;
use mayfly_core::log::LdkLog;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One of the LSP's commitments, and the monitor that can act on it.
#[derive(Clone)]
pub struct State {
    /// Whose channel it is.
    pub client: PublicKey,
    /// The channel.
    pub channel: ChannelId,
    /// The commitment's id.
    pub txid: Txid,
    /// What it pays the LSP, after its delay.
    pub own: Amount,
    /// What it pays the client, at once.
    pub client_has: Amount,
    /// Its HTLCs, but for those too small to be outputs.
    pub htlcs: Vec<Htlc>,
    /// The monitor at that instant, as LDK writes it.
    pub(super) monitor: Vec<u8>,
}

/// One HTLC of a commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Htlc {
    /// Its output.
    pub amount: Amount,
    /// Who offered it may take it back from the block above this height on.
    pub expiry: u32,
}

/// The states of some clients' channels, oldest first. Shared with the control API; it survives restarts of the LSP.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    clients: BTreeSet<PublicKey>,
    states: Vec<State>,
    /// The last update of each monitor that was looked at.
    seen: BTreeMap<ChannelId, u64>,
}

impl Memory {
    /// From now on this client's states are kept, the present one first.
    pub fn watch(&self, client: PublicKey) {
        self.kept().clients.insert(client);
    }

    /// What is kept of a client, oldest first.
    pub fn states(&self, client: &PublicKey) -> Vec<State> {
        self.kept().states.iter().filter(|state| state.client == *client).cloned().collect()
    }

    /// Looks at the LSP: called in each of its turns. It answers no commitment before its turn is committed, so that its client
    /// can't sign two within one.
    pub fn observe(&self, node: &Base) {
        let mut kept = self.kept();
        for client in kept.clients.clone() {
            for channel in node.manager().list_channels_with_counterparty(&client) {
                let Ok(monitor) = node.loaded.monitors().get_monitor(channel.channel_id) else { continue };
                let update = monitor.get_latest_update_id();
                if kept.seen.insert(channel.channel_id, update) == Some(update) {
                    continue;
                }
                let bytes = monitor.encode();
                match read_monitor(&bytes, node.loaded.keys()) {
                    Some(copy) => kept.keep(State::of(client, &copy, bytes)),
                    None => {
                        tracing::error!(channel = %channel.channel_id, "a monitor that was just written does not read")
                    }
                }
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Of two monitors with the same commitment the later one knows more preimages.
    fn keep(&mut self, state: Option<State>) {
        let Some(state) = state else { return };
        match self.states.iter_mut().find(|known| known.txid == state.txid) {
            Some(known) => *known = state,
            None => self.states.push(state),
        }
    }
}

impl State {
    /// `copy` is used up: once it has signed, LDK takes its channel for closed.
    fn of(client: PublicKey, copy: &ChannelMonitor, monitor: Vec<u8>) -> Option<State> {
        let htlcs: Vec<Htlc> = copy.get_claimable_balances().iter().filter_map(htlc_of).collect();
        let commitment = commitment_of(copy)?;
        let (to_client, to_others): (Vec<&TxOut>, Vec<&TxOut>) =
            commitment.output.iter().partition(|output| output.script_pubkey.is_p2wpkh());
        let sum = |outputs: Vec<&TxOut>| outputs.iter().map(|output| output.value).sum::<Amount>();
        let in_htlcs: Amount = htlcs.iter().map(|htlc| htlc.amount).sum();
        Some(State {
            client,
            channel: copy.channel_id(),
            txid: commitment.compute_txid(),
            own: sum(to_others).checked_sub(in_htlcs)?,
            client_has: sum(to_client),
            htlcs,
            monitor,
        })
    }
}

fn htlc_of(balance: &Balance) -> Option<Htlc> {
    let (sats, expiry) = match balance {
        Balance::MaybeTimeoutClaimableHTLC { amount_satoshis, claimable_height, .. } => {
            (amount_satoshis, claimable_height)
        }
        Balance::MaybePreimageClaimableHTLC { amount_satoshis, expiry_height, .. } => (amount_satoshis, expiry_height),
        _ => return None,
    };
    Some(Htlc { amount: Amount::from_sat(*sats), expiry: *expiry })
}

/// The commitment that LDK would publish.
fn commitment_of(monitor: &ChannelMonitor) -> Option<Transaction> {
    let published = Published::default();
    monitor.broadcast_latest_holder_commitment_txn(&&published, &&LabFees, &&LdkLog::new("thief"));
    let funding = monitor.get_funding_txo().into_bitcoin_outpoint();
    let spends = |tx: &Transaction| tx.input.iter().any(|input| input.previous_output == funding);
    published.0.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().find(spends)
}

#[derive(Default)]
struct Published(Mutex<Vec<Transaction>>);

impl BroadcasterInterface for Published {
    fn broadcast_transactions(&self, transactions: &[&Transaction]) {
        let mut published = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        published.extend(transactions.iter().map(|transaction| (*transaction).clone()));
    }
}
