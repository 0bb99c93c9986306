//! The wallet's own bitcoin: what closed channels left, what is on its way, and the coins.
//!
//! ```text
//! LDK: an output is ours ─┬─ pays to an address of ours ──▶ coin ── sendAllOnchain ──▶ outgoing (send) ── final ──▶ gone
//!                         └─ needs LDK's keys ──▶ unswept ── sweep ──▶ outgoing ── in a block ──▶ coin
//! ```
//!
//! What must hold: every satoshi is counted once. An output is LDK's until it is six blocks deep (`SpendableOutputs`); a sweep's is
//! pending until it is in a block; a coin that a send spends counts no more. Whatever is decided here is staged for the next
//! commit, and what is to be broadcast waits at the gate for it.

use crate::checkpoint::Loaded;
use crate::error::{Code, Error, Result};
use crate::onchain::look::{Findings, Found, Questions};
use crate::onchain::outgoing::{Outgoing, Purpose, OUTGOING_PREFIX};
use crate::onchain::spend::{fee_sats, spend_all, Spent};
use crate::onchain::{Account, Chain, Coin, Place, Serving, Signer};
use crate::store::{Batch, Rows};
use bitcoin::absolute::LockTime;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, OutPoint, ScriptBuf, Transaction, Txid};
use lightning::sign::{OutputSpender, SpendableOutputDescriptor};
use lightning::util::ser::{Readable, Writeable};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Outputs of closed channels that only LDK's keys spend, until a sweep of them is final: one row each.
pub const SPENDABLE_PREFIX: &str = "spendable/";

/// How many of the newest addresses that a user was told are looked at: as many as other wallets look beyond the last one used.
const ADDRESSES_WATCHED: u32 = 20;

/// What a sweep's input weighs at most: outpoint, script, sequence, and the witness of a delayed output.
const SWEEP_INPUT_WEIGHT: u64 = 4 * (36 + 1 + 4) + 1 + 1 + 73 + 1 + 1 + 78;

/// What the node's row keeps of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldingsRow {
    /// The addresses that serve now.
    pub serving: Serving,
    /// The newest external address that a user was told.
    pub told: Option<u32>,
    /// Confirmed outputs that pay to addresses of ours.
    pub coins: Vec<Coin>,
}

impl HoldingsRow {
    /// The place that a user is told, and whether the row changed: an address that was told is looked at from then on.
    pub fn tell(&mut self) -> (Place, bool) {
        let index = self.serving.external;
        let is_new = self.told != Some(index);
        self.told = Some(index);
        (Place { chain: Chain::External, index }, is_new)
    }
}

/// See the module's head.
pub struct Holdings {
    signer: Arc<Signer>,
    account: Option<Arc<Account>>,
    unswept: BTreeMap<OutPoint, SpendableOutputDescriptor>,
    outgoing: BTreeMap<String, Outgoing>,
    row: HoldingsRow,
    /// Something changed that only the node's row tells.
    changed: bool,
}

impl Holdings {
    /// What the rows hold.
    pub fn restore(signer: &Arc<Signer>, rows: &Rows, row: HoldingsRow) -> Result<Holdings> {
        let mut unswept = BTreeMap::new();
        for (key, bytes) in starting_with(rows, SPENDABLE_PREFIX) {
            let mut reader = bytes.as_slice();
            let output = SpendableOutputDescriptor::read(&mut reader).map_err(|_| unreadable(key))?;
            unswept.insert(output.spendable_outpoint().into_bitcoin_outpoint(), output);
        }
        let mut outgoing = BTreeMap::new();
        for (key, bytes) in starting_with(rows, OUTGOING_PREFIX) {
            let of: Outgoing = serde_json::from_slice(bytes).map_err(|_| unreadable(key))?;
            if of.key() != *key {
                return Err(unreadable(key));
            }
            outgoing.insert(key.clone(), of);
        }
        signer.serve(row.serving);
        let account = signer.account().map(Arc::clone);
        Ok(Holdings { signer: Arc::clone(signer), account, unswept, outgoing, row, changed: false })
    }

    /// What the node's row keeps.
    pub fn row(&self) -> &HoldingsRow {
        &self.row
    }

    /// Whether a commit is worth it for what changed here.
    pub fn wants_commit(&self) -> bool {
        self.changed
    }

    /// It is being committed.
    pub fn committing(&mut self) {
        self.changed = false;
    }

    /// Confirmed, and not about to be spent; in satoshi.
    pub fn onchain_sats(&self) -> u64 {
        self.free_coins().map(|coin| coin.sats).sum()
    }

    /// What closed channels left that is not a coin yet; in satoshi.
    pub fn pending_sats(&self) -> u64 {
        let unswept = self.unclaimed().map(|(_, output)| value_sats(output));
        let sweeps =
            self.outgoing.values().filter(|of| matches!(of.purpose, Purpose::Sweep(_)) && of.confirmed.is_none());
        unswept.chain(sweeps.map(Outgoing::amount_sats)).fold(0, u64::saturating_add)
    }

    /// The address that serves; to be told when that is committed, if [`Holdings::wants_commit`].
    pub fn tell_address(&mut self) -> Result<Address> {
        let (place, is_new) = self.row.tell();
        self.changed |= is_new;
        self.account()?.address(place)
    }

    /// A channel was closed cooperatively: both sides publish this, and whoever dies does it later.
    pub fn keep_closing(&mut self, transaction: Transaction, height: u32, batch: &mut Batch) -> Result<()> {
        self.put(
            Outgoing { purpose: Purpose::Close, transaction, sat_per_kw: 0, made_at: height, confirmed: None },
            batch,
        )
    }

    /// A send that the network refused is none: its coins are free again.
    pub fn forget_send(&mut self, txid: Txid, batch: &mut Batch) {
        let is_it = |of: &Outgoing| of.purpose == Purpose::Send && of.transaction.compute_txid() == txid;
        if let Some(key) = self.outgoing.iter().find(|(_, of)| is_it(of)).map(|(key, _)| key.clone()) {
            self.outgoing.remove(&key);
            batch.delete(key);
        }
    }

    /// LDK says that these are ours for good.
    pub fn keep(&mut self, outputs: &[SpendableOutputDescriptor], batch: &mut Batch) {
        for output in outputs {
            let outpoint = output.spendable_outpoint().into_bitcoin_outpoint();
            match self.place_of(output) {
                Some((place, sats)) => self.add_coin(Coin { txid: outpoint.txid, vout: outpoint.vout, sats, place }),
                None => {
                    batch.put(spendable_key(&outpoint), output.encode());
                    self.unswept.insert(outpoint, output.clone());
                }
            }
        }
    }

    /// What the chain is to be asked; `None` if nothing. `every_address`: also those that were paid to long ago.
    pub fn questions(&self, loaded: &Loaded, every_address: bool) -> Option<Questions> {
        let account = Arc::clone(self.account.as_ref()?);
        let of = |chain, indices: RangeInclusive<u32>| indices.map(move |index| Place { chain, index });
        let coins: Vec<Coin> = self.free_coins().copied().collect();
        let mut addresses: BTreeSet<Place> = coins.iter().map(|coin| coin.place).collect();
        if every_address {
            addresses.extend(of(Chain::External, 0..=self.row.serving.external));
            addresses.extend(of(Chain::Internal, 0..=self.row.serving.internal));
        } else if let Some(told) = self.row.told {
            addresses.extend(of(Chain::External, told.saturating_sub(ADDRESSES_WATCHED - 1)..=told));
        }
        if self.outgoing.is_empty() && self.unswept.is_empty() && addresses.is_empty() {
            return None;
        }
        let of_ldk = lightning::chain::Confirm::get_relevant_txids(loaded.monitors().as_ref());
        let of_sweeps =
            self.outgoing.values().map(|of| of.confirmed.map_or_else(|| of.transaction.compute_txid(), |at| at.txid));
        Some(Questions {
            outgoing: self.outgoing.iter().map(|(key, of)| (key.clone(), of.inputs().collect())).collect(),
            addresses: addresses.into_iter().collect(),
            coins,
            accounted: of_ldk.into_iter().map(|(txid, ..)| txid).chain(of_sweeps).collect(),
            account,
            serving: self.row.serving,
        })
    }

    /// Takes in what was found, and decides what follows: sweeps, replacements, transactions that go out once more. These are
    /// returned. `height` is that of the best block, `sat_per_kw` what a sweep pays now.
    pub fn learn(
        &mut self,
        findings: Findings,
        height: u32,
        sat_per_kw: u32,
        batch: &mut Batch,
    ) -> Result<Vec<Transaction>> {
        for (key, found) in findings.outgoing {
            self.follow(&key, found, height, batch)?;
        }
        findings.lost.iter().for_each(|outpoint| self.forget_coins(|coin| coin.outpoint() == *outpoint));
        findings.coins.into_iter().for_each(|coin| self.add_coin(coin));
        self.replace_stuck(height, sat_per_kw, batch)?;
        self.sweep(height, sat_per_kw, batch)?;
        let waiting = self.outgoing.values().filter(|of| of.confirmed.is_none());
        Ok(waiting.map(|of| of.transaction.clone()).collect())
    }

    /// Spends every coin that nothing spends yet to `to`.
    pub fn send_all(&mut self, to: ScriptBuf, sat_per_kw: u32, height: u32, batch: &mut Batch) -> Result<Spent> {
        let coins: Vec<Coin> = self.free_coins().copied().collect();
        let spent = spend_all(self.account()?, &coins, to, sat_per_kw, height)?;
        let sending = Outgoing {
            purpose: Purpose::Send,
            transaction: spent.transaction.clone(),
            sat_per_kw,
            made_at: height,
            confirmed: None,
        };
        self.put(sending, batch)?;
        Ok(spent)
    }

    fn account(&self) -> Result<&Arc<Account>> {
        self.account.as_ref().ok_or_else(|| Error::new(Code::Internal, "this signer has no on-chain account"))
    }

    fn free_coins(&self) -> impl Iterator<Item = &Coin> {
        let spent = |coin: &&Coin| !self.outgoing.values().any(|of| of.spends(&coin.outpoint()));
        self.row.coins.iter().filter(spent)
    }

    fn unclaimed(&self) -> impl Iterator<Item = (&OutPoint, &SpendableOutputDescriptor)> {
        self.unswept.iter().filter(|(outpoint, _)| !self.outgoing.values().any(|of| of.spends(outpoint)))
    }

    /// The place of an output that pays to an address of ours, and its worth.
    fn place_of(&self, output: &SpendableOutputDescriptor) -> Option<(Place, u64)> {
        let SpendableOutputDescriptor::StaticOutput { output, .. } = output else { return None };
        let place = self.account.as_ref()?.find(&output.script_pubkey, self.row.serving)?;
        Some((place, output.value.to_sat()))
    }

    fn add_coin(&mut self, coin: Coin) {
        if self.row.coins.iter().any(|known| known.outpoint() == coin.outpoint()) {
            return;
        }
        tracing::info!(txid = %coin.txid, sats = coin.sats, "a coin came in on chain");
        self.row.coins.push(coin);
        self.serve_after(coin.place);
        self.changed = true;
    }

    fn forget_coins(&mut self, is_it: impl Fn(&Coin) -> bool) {
        let before = self.row.coins.len();
        self.row.coins.retain(|coin| !is_it(coin));
        self.changed |= self.row.coins.len() < before;
    }

    fn serve_after(&mut self, place: Place) {
        self.row.serving.used(place);
        self.signer.serve(self.row.serving);
    }

    fn put(&mut self, outgoing: Outgoing, batch: &mut Batch) -> Result<()> {
        outgoing.stage(batch).map_err(|error| Error::new(Code::Internal, format!("an outgoing row: {error}")))?;
        self.outgoing.insert(outgoing.key(), outgoing);
        Ok(())
    }

    /// What became of an outgoing transaction.
    fn follow(&mut self, key: &str, found: Option<Found>, height: u32, batch: &mut Batch) -> Result<()> {
        let Some(outgoing) = self.outgoing.get(key) else { return Ok(()) };
        let mut outgoing = outgoing.clone();
        let at = found.as_ref().map(|found| found.at);
        if outgoing.confirmed != at {
            if let Some(gone) = outgoing.confirmed {
                tracing::info!(txid = %gone.txid, "no longer confirmed");
                self.forget_coins(|coin| coin.txid == gone.txid);
            }
            outgoing.confirmed = at;
            self.put(outgoing.clone(), batch)?;
        }
        let Some(Found { at, transaction }) = found else { return Ok(()) };
        if outgoing.is_final(height) {
            tracing::info!(txid = %at.txid, "final");
            self.outgoing.remove(key);
            batch.delete(key);
            for input in &transaction.input {
                let spent = input.previous_output;
                self.forget_coins(|coin| coin.outpoint() == spent);
                if self.unswept.remove(&spent).is_some() {
                    batch.delete(spendable_key(&spent));
                }
            }
        }
        if outgoing.purpose != Purpose::Close {
            self.take_outputs(at.txid, &transaction);
        }
        Ok(())
    }

    /// The outputs of a confirmed transaction that pay to us.
    fn take_outputs(&mut self, txid: Txid, transaction: &Transaction) {
        let Some(account) = self.account.clone() else { return };
        for (vout, output) in (0u32..).zip(&transaction.output) {
            if let Some(place) = account.find(&output.script_pubkey, self.row.serving) {
                self.add_coin(Coin { txid, vout, sats: output.value.to_sat(), place });
            }
        }
    }

    /// Sweeps that wait for too long, or for too little, are replaced by ones that pay more.
    fn replace_stuck(&mut self, height: u32, sat_per_kw: u32, batch: &mut Batch) -> Result<()> {
        let mut replaced = Vec::new();
        for outgoing in self.outgoing.values() {
            let (Purpose::Sweep(place), Some(rate)) = (outgoing.purpose, outgoing.replacement_rate(sat_per_kw, height))
            else {
                continue;
            };
            let outputs: Option<Vec<_>> = outgoing.inputs().map(|input| self.unswept.get(&input)).collect();
            if let Some(better) = outputs.and_then(|outputs| self.build(&outputs, place, rate, height)) {
                tracing::info!(txid = %better.transaction.compute_txid(), sat_per_kw = rate, "a sweep waits for too long: it pays more");
                replaced.push(better);
            }
        }
        replaced.into_iter().try_for_each(|better| self.put(better, batch))
    }

    /// One transaction for everything that is not swept yet and worth its own input's fee.
    fn sweep(&mut self, height: u32, sat_per_kw: u32, batch: &mut Batch) -> Result<()> {
        let input_fee = fee_sats(SWEEP_INPUT_WEIGHT, sat_per_kw);
        let mut serving = self.row.serving;
        let place = serving.take_for_sweep();
        let outputs: Vec<_> =
            self.unclaimed().map(|(_, output)| output).filter(|output| value_sats(output) > input_fee).collect();
        if outputs.is_empty() {
            return Ok(());
        }
        let Some(sweep) = self.build(&outputs, place, sat_per_kw, height) else { return Ok(()) };
        tracing::info!(txid = %sweep.transaction.compute_txid(), sats = sweep.amount_sats(), sat_per_kw, "sweeping what closed channels left");
        self.serve_after(place);
        self.put(sweep, batch)
    }

    /// `None` when too little would arrive.
    fn build(
        &self,
        outputs: &[&SpendableOutputDescriptor],
        to: Place,
        sat_per_kw: u32,
        height: u32,
    ) -> Option<Outgoing> {
        let script = self.account.as_ref()?.script(to).ok()?;
        // Not before the next block: nobody gains by mining the last one again.
        let lock_time = LockTime::from_height(height).ok();
        let secp = Secp256k1::new();
        let built = self.signer.spend_spendable_outputs(outputs, Vec::new(), script, sat_per_kw, lock_time, &secp);
        let transaction = built.ok().filter(|transaction| !transaction.output.is_empty())?;
        Some(Outgoing { purpose: Purpose::Sweep(to), transaction, sat_per_kw, made_at: height, confirmed: None })
    }
}

fn spendable_key(outpoint: &OutPoint) -> String {
    format!("{SPENDABLE_PREFIX}{outpoint}")
}

fn value_sats(output: &SpendableOutputDescriptor) -> u64 {
    let value = match output {
        SpendableOutputDescriptor::StaticOutput { output, .. } => output.value,
        SpendableOutputDescriptor::DelayedPaymentOutput(descriptor) => descriptor.output.value,
        SpendableOutputDescriptor::StaticPaymentOutput(descriptor) => descriptor.output.value,
    };
    value.to_sat()
}

fn starting_with<'a>(rows: &'a Rows, prefix: &'static str) -> impl Iterator<Item = (&'a String, &'a Vec<u8>)> {
    rows.range(prefix.to_owned()..).take_while(move |(key, _)| key.starts_with(prefix))
}

fn unreadable(key: &str) -> Error {
    Error::new(
        Code::StateCorrupt,
        format!("row {key} of the store does not load; nothing was sent or changed; restore the store from where it was written as a whole"),
    )
}
