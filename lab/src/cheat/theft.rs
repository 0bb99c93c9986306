//! One old commitment, published, and everything that its publisher can get out of it.

use super::{read_monitor, State};
use crate::chain::{ChainError, SharedChain, Wallet};
use crate::node::{bring_to_tip, LabFees};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{ScriptBuf, Transaction};
use lightning::chain::chaininterface::{BroadcasterInterface, ConfirmationTarget, FeeEstimator};
use lightning::events::{Event, ReplayEvent};
use lightning::sign::{OutputSpender, SpendableOutputDescriptor};
use mayfly_core::ldk::ChannelMonitor;
use mayfly_core::log::LdkLog;
use mayfly_core::onchain::Signer;
use std::cell::RefCell;
use std::sync::Arc;

/// A thief at work. It acts while [`Theft::run`] runs.
pub struct Theft {
    monitor: ChannelMonitor,
    keys: Arc<Signer>,
    chain: SharedChain,
    loot: ScriptBuf,
    log: LdkLog,
}

impl Theft {
    /// Publishes the commitment of `state`. The loot goes to the wallet of the LSP.
    ///
    /// Errors: [`ChainError::Rejected`] when the chain refuses it: the channel is closed already, or another commitment waits.
    pub fn begin(state: &State, keys: Arc<Signer>, chain: SharedChain) -> Result<Theft, ChainError> {
        let unreadable = || ChainError::Storage("the remembered monitor does not read".into());
        let monitor = read_monitor(&state.monitor, &keys).ok_or_else(unreadable)?;
        let loot = Wallet::new("lsp").script().into();
        let theft = Theft { monitor, keys, chain, loot, log: LdkLog::new("thief") };
        let refused = RefCell::new(None);
        theft.monitor.broadcast_latest_holder_commitment_txn(
            &&Mempool { chain: &theft.chain, refused: &refused },
            &&LabFees,
            &&theft.log,
        );
        match refused.into_inner() {
            Some(error) if theft.chain.transaction(&state.txid).is_none() => Err(error),
            _ => Ok(theft),
        }
    }

    /// Follows the chain for ever, and takes what it can at each block.
    pub async fn run(self) {
        let mut tip = self.chain.subscribe();
        loop {
            self.look();
            if tip.changed().await.is_err() {
                return;
            }
        }
    }

    fn look(&self) {
        let refused = RefCell::new(None);
        let mempool = Mempool { chain: &self.chain, refused: &refused };
        let part = (&self.monitor, &mempool, &LabFees, &self.log);
        bring_to_tip(&self.chain, &[&part], self.monitor.current_best_block());
        for output in self.matured() {
            self.spend(&output);
        }
    }

    /// What its delays let go since the last look.
    fn matured(&self) -> Vec<SpendableOutputDescriptor> {
        let matured = RefCell::new(Vec::new());
        let take = |event: Event| -> Result<(), ReplayEvent> {
            if let Event::SpendableOutputs { outputs, .. } = event {
                matured.borrow_mut().extend(outputs);
            }
            Ok(())
        };
        // The handler never fails.
        let _ = self.monitor.process_pending_events(&&take, &&self.log);
        matured.into_inner()
    }

    fn spend(&self, output: &SpendableOutputDescriptor) {
        let fee = LabFees.get_est_sat_per_1000_weight(ConfirmationTarget::OutputSpendingFee);
        let loot = self.loot.clone();
        let spend = self.keys.spend_spendable_outputs(&[output], Vec::new(), loot, fee, None, &Secp256k1::new());
        match spend.map(|transaction| self.chain.submit(transaction)) {
            Ok(Ok(txid)) => tracing::info!(%txid, "the thief took an output"),
            Ok(Err(error)) => tracing::info!(%error, "the thief came too late"),
            Err(()) => tracing::warn!("the thief can't spend an output: too small, or not its own"),
        }
    }
}

/// Publishes at once. The last refusal is kept.
struct Mempool<'a> {
    chain: &'a SharedChain,
    refused: &'a RefCell<Option<ChainError>>,
}

impl BroadcasterInterface for Mempool<'_> {
    fn broadcast_transactions(&self, transactions: &[&Transaction]) {
        for transaction in transactions {
            if let Err(error) = self.chain.submit((*transaction).clone()) {
                tracing::info!(txid = %transaction.compute_txid(), %error, "the thief's transaction was refused");
                *self.refused.borrow_mut() = Some(error);
            }
        }
    }
}
