//! Holds every transaction that LDK hands out until a commit contains the monitor that made it.
//!
//! A lease check is no fence: a frozen process can pass it, freeze, and publish a commitment that its successor has revoked.
//! After a commit the successor knows whatever made the transaction.

use bitcoin::{OutPoint, Transaction, Txid};
use lightning::chain::chaininterface::BroadcasterInterface;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// LDK's broadcaster.
pub struct BroadcastGate {
    state: Mutex<State>,
    wake: Arc<Notify>,
}

#[derive(Default)]
struct State {
    held: Vec<Transaction>,
    /// LDK repeats an unconfirmed funding transaction about six times per payment; once per session is enough.
    seen: HashSet<Txid>,
    /// Outputs that nothing of ours may spend: see `recovery.rs`.
    untouchable: HashSet<OutPoint>,
}

impl State {
    fn may_go(&self, transaction: &Transaction) -> bool {
        transaction.input.iter().all(|input| !self.untouchable.contains(&input.previous_output))
    }
}

impl BroadcastGate {
    /// An empty gate that notifies `wake` when a transaction waits.
    pub fn new(wake: Arc<Notify>) -> Self {
        BroadcastGate { state: Mutex::default(), wake }
    }

    /// Whether a transaction waits for a commit.
    pub fn is_empty(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).held.is_empty()
    }

    /// From now on no transaction that spends this output goes out, one that waits included.
    pub(super) fn never_spend(&self, output: OutPoint) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.untouchable.insert(output);
        let mut held = std::mem::take(&mut state.held);
        held.retain(|transaction| state.may_go(transaction));
        state.held = held;
    }

    pub(super) fn take(&self) -> Vec<Transaction> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).held)
    }

    /// A broadcast that did not reach the network: the next hand-out of the same transaction counts again.
    pub fn forget(&self, txid: &Txid) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).seen.remove(txid);
    }
}

impl BroadcasterInterface for BroadcastGate {
    fn broadcast_transactions(&self, transactions: &[&Transaction]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for transaction in transactions {
            if state.may_go(transaction) && state.seen.insert(transaction.compute_txid()) {
                state.held.push((*transaction).clone());
            }
        }
        drop(state);
        self.wake.notify_one();
    }
}
