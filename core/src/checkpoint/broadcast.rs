//! Holds every transaction that LDK hands out until a commit contains the monitor that made it.
//!
//! A lease check is no fence: a frozen process can pass it, freeze, and publish a commitment that its successor has revoked.
//! After a commit the successor knows whatever made the transaction.
//!
//! A commitment of ours waits longer, for the peer's word that it is not revoked: see `doubt.rs`.

use super::doubt::{lowest_expiry, with_descendants, Doubt};
use crate::mutation::{self, Mutation};
use bitcoin::{OutPoint, Transaction, Txid};
use lightning::chain::chaininterface::BroadcasterInterface;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// LDK's broadcaster.
pub struct BroadcastGate {
    state: Mutex<State>,
    wake: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// For the next cut.
    held: Vec<Transaction>,
    /// In doubt: no cut takes these.
    waiting: Vec<Transaction>,
    doubt: Doubt,
    /// LDK repeats an unconfirmed funding transaction about six times per payment; once per session is enough.
    seen: HashSet<Txid>,
    /// Outputs that nothing of ours may spend: see `recovery.rs`.
    untouchable: HashSet<OutPoint>,
}

impl State {
    fn may_go(&self, transaction: &Transaction) -> bool {
        transaction.input.iter().all(|input| !self.untouchable.contains(&input.previous_output))
    }

    /// Parts what the next cut may take from what is in doubt.
    fn sort(&mut self) {
        let mut all = std::mem::take(&mut self.waiting);
        all.append(&mut self.held);
        (self.waiting, self.held) = with_descendants(all, |transaction| self.doubt.concerns(transaction));
    }
}

impl BroadcastGate {
    /// An empty gate that notifies `wake` when a transaction waits.
    pub fn new(wake: Arc<Notify>) -> Self {
        BroadcastGate { state: Mutex::default(), wake }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no transaction waits for a commit.
    pub fn is_empty(&self) -> bool {
        let mut state = self.state();
        state.sort();
        state.held.is_empty()
    }

    /// Whether a commitment of ours waits for the peer's word.
    pub fn is_in_doubt(&self) -> bool {
        let mut state = self.state();
        state.sort();
        !state.waiting.is_empty()
    }

    /// The lowest expiry of the HTLCs that are claimed from commitments in doubt.
    pub fn expiry_in_doubt(&self) -> Option<u32> {
        let mut state = self.state();
        state.sort();
        lowest_expiry(&state.waiting)
    }

    /// The commitment of that channel that waits for the peer's word.
    pub(super) fn commitment_in_doubt(&self, funding: &OutPoint) -> Option<Transaction> {
        let mut state = self.state();
        state.sort();
        let spends =
            |transaction: &&Transaction| transaction.input.iter().any(|input| input.previous_output == *funding);
        state.waiting.iter().find(spends).cloned()
    }

    /// A channel was loaded: a commitment of it is in doubt from now on.
    pub(super) fn doubt(&self, funding: OutPoint) {
        self.state().doubt.begin(funding);
    }

    /// Its state is the newest: what waited goes with the next cut.
    pub(super) fn trust(&self, funding: &OutPoint) {
        self.state().doubt.end(funding);
        self.wake.notify_one();
    }

    /// The store may have lost the last commits: no commitment of a loaded channel goes out before the peer has shown that it may.
    pub fn only_the_peer_ends_doubt(&self) {
        self.state().doubt.is_firm_from_now();
    }

    /// Whether there is such a channel whose peer has not.
    pub fn is_doubt_firm(&self) -> bool {
        self.state().doubt.is_firm()
    }

    /// The peer had its time to say otherwise: what waited goes with the next cut, unless only the peer ends the doubt.
    pub fn trust_all(&self) {
        self.state().doubt.end_all();
        self.wake.notify_one();
    }

    /// Nothing is ever in doubt.
    pub(super) fn never_doubt(&self) {
        self.state().doubt.never();
    }

    /// From now on no transaction that spends this output goes out, one that waits included.
    pub(super) fn never_spend(&self, output: OutPoint) {
        let mut state = self.state();
        state.untouchable.insert(output);
        state.sort();
        for queue in [std::mem::take(&mut state.held), std::mem::take(&mut state.waiting)] {
            let (_, kept) = with_descendants(queue, |transaction| !state.may_go(transaction));
            state.held.extend(kept);
        }
    }

    /// What waits and spends that output.
    pub fn held_spender(&self, output: OutPoint) -> Option<Transaction> {
        let spends = |of: &&Transaction| of.input.iter().any(|input| input.previous_output == output);
        self.state().held.iter().find(spends).cloned()
    }

    pub(super) fn take(&self) -> Vec<Transaction> {
        let mut state = self.state();
        state.sort();
        std::mem::take(&mut state.held)
    }

    /// A broadcast that did not reach the network: the next hand-out of the same transaction counts again.
    pub fn forget(&self, txid: &Txid) {
        self.state().seen.remove(txid);
    }
}

impl BroadcasterInterface for BroadcastGate {
    fn broadcast_transactions(&self, transactions: &[&Transaction]) {
        let mut state = self.state();
        for transaction in transactions {
            if state.may_go(transaction) && state.seen.insert(transaction.compute_txid()) {
                match mutation::is_on(Mutation::UngatedBroadcasts) {
                    false => state.held.push((*transaction).clone()),
                    true => mutation::leak((*transaction).clone()),
                }
            }
        }
        drop(state);
        self.wake.notify_one();
    }
}
