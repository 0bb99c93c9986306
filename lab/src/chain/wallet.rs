//! A P2WPKH wallet of one key, for those who fund things in the lab.
//!
//! The key comes from the owner's name, and the coins from scanning the chain's coins for its script: there is nothing to
//! save, and a restarted lab finds all its money. Only what is signed but not broadcast yet has to be remembered (a
//! channel's funding transaction waits for the peer's signature): its inputs are reserved, for as long as this object lives.
//! Anyone can derive these keys: regtest only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bitcoin::absolute::LockTime;
use bitcoin::hashes::{sha256, Hash, HashEngine};
use bitcoin::secp256k1::{All, Message, Secp256k1, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, CompressedPublicKey, KnownHrp, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
    Txid, WScriptHash, Witness,
};

use super::{Chain, ChainError, Coin, SharedChain, COINBASE_MATURITY};

/// Twice the relay minimum: the mempool never refuses it, and a lab has no competition for block space.
const FEE_SAT_PER_VBYTE: u64 = 2;

/// An ECDSA signature with its hash type and a public key, at their longest, as witness bytes.
const MAX_WITNESS: [usize; 2] = [72, 33];

/// Whether a wallet has the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afford {
    Now,
    /// Not before what is signed is broadcast or released.
    Later,
    /// Not with what it has.
    Never,
}

pub struct Wallet {
    secp: Secp256k1<All>,
    key: SecretKey,
    script: ScriptBuf,
    /// Inputs of what is signed, and by which transaction.
    reserved: Mutex<HashMap<OutPoint, Txid>>,
}

impl Wallet {
    /// The wallet of `owner`: the same name is the same wallet.
    pub fn new(owner: &str) -> Self {
        let secp = Secp256k1::new();
        let mut engine = sha256::Hash::engine();
        engine.input(b"mayfly-lab wallet of ");
        engine.input(owner.as_bytes());
        let seed = sha256::Hash::from_engine(engine).to_byte_array();
        let key = SecretKey::from_slice(&seed).expect("a sha256 is below the curve's order, but for one in 2^128");
        let script = ScriptBuf::new_p2wpkh(&CompressedPublicKey(key.public_key(&secp)).wpubkey_hash());
        Wallet { secp, key, script, reserved: Mutex::default() }
    }

    /// Where to pay this wallet.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Where to pay this wallet, as an address (`bcrt1…`).
    pub fn address(&self) -> Address {
        Address::p2wpkh(&CompressedPublicKey(self.key.public_key(&self.secp)), KnownHrp::Regtest)
    }

    /// What `pay` could spend now, in satoshi, fees not deducted.
    pub fn balance_sats(&self, chain: &SharedChain) -> u64 {
        self.spendable(&chain.lock()).iter().map(|(_, coin)| coin.output.value.to_sat()).sum()
    }

    /// Whether `pay` to a script of a witness program could be had now.
    pub fn can_pay(&self, chain: &SharedChain, sats: u64) -> Afford {
        let chain = chain.lock();
        // The longest of them: a channel's funding output is of this kind.
        let script = ScriptBuf::new_p2wsh(&WScriptHash::all_zeros());
        match self.pay_from(&chain, &script, sats) {
            Ok(tx) => {
                self.release(&tx);
                Afford::Now
            }
            Err(_) if self.reserved().is_empty() => Afford::Never,
            Err(_) => Afford::Later,
        }
    }

    /// A signed transaction that pays `sats` to `script`, and the change back. It is not broadcast; its inputs are reserved
    /// until it is in the mempool, or [`release`](Self::release)d.
    ///
    /// Errors: [`ChainError::InsufficientFunds`].
    pub fn pay(&self, chain: &SharedChain, script: &Script, sats: u64) -> Result<Transaction, ChainError> {
        self.pay_from(&chain.lock(), script, sats)
    }

    /// Gives the inputs of a transaction that will not be broadcast back.
    pub fn release(&self, tx: &Transaction) {
        let mut reserved = self.reserved();
        for input in &tx.input {
            reserved.remove(&input.previous_output);
        }
    }

    pub(super) fn pay_from(&self, chain: &Chain, script: &Script, sats: u64) -> Result<Transaction, ChainError> {
        let amount = Amount::from_sat(sats);
        let mut coins = self.spendable(chain);
        // Confirmed ones first, so that chains of unconfirmed change stay short; then large ones, so that inputs are few.
        coins.sort_by_key(|(outpoint, coin)| {
            (coin.height > chain.height(), u64::MAX - coin.output.value.to_sat(), *outpoint)
        });
        let mut tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: Vec::new(),
            output: vec![
                TxOut { value: amount, script_pubkey: script.into() },
                TxOut { value: Amount::ZERO, script_pubkey: self.script.clone() },
            ],
        };
        let mut chosen: Vec<Coin> = Vec::new();
        let mut have = Amount::ZERO;
        for (previous_output, coin) in coins {
            let witness = Witness::from_slice(&MAX_WITNESS.map(|length| vec![0; length]));
            let sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
            tx.input.push(TxIn { previous_output, script_sig: ScriptBuf::new(), sequence, witness });
            have += coin.output.value;
            chosen.push(coin);
            // Counted with the change output, also when that is dropped below: a few satoshi too many.
            let fee = Amount::from_sat(FEE_SAT_PER_VBYTE * tx.vsize() as u64);
            let change = amount.checked_add(fee).and_then(|needed| have.checked_sub(needed));
            if let Some(change) = change {
                if change < self.script.minimal_non_dust() {
                    tx.output.pop();
                } else if let Some(output) = tx.output.last_mut() {
                    output.value = change;
                }
                self.sign(&mut tx, &chosen);
                let txid = tx.compute_txid();
                self.reserved().extend(tx.input.iter().map(|input| (input.previous_output, txid)));
                return Ok(tx);
            }
        }
        let text = format!("the wallet has {have} to spend, not {amount} and a fee: fund it or mine");
        Err(ChainError::InsufficientFunds(text))
    }

    /// Mature confirmed coins, and change of our own that is still unconfirmed. What others pay us unconfirmed could be
    /// taken back.
    fn spendable(&self, chain: &Chain) -> Vec<(OutPoint, Coin)> {
        let next = chain.height() + 1;
        let mut reserved = self.reserved();
        // What is broadcast needs no reservation; should a reorg drop it later, its coins are free.
        reserved.retain(|_, txid| chain.transaction(txid).is_none());
        let mut coins = chain.coins_of(&self.script);
        coins.retain(|(outpoint, coin)| {
            let mature = !coin.coinbase || next - coin.height >= COINBASE_MATURITY;
            let confirmed = coin.height < next;
            mature && !reserved.contains_key(outpoint) && (confirmed || self.is_ours(chain, outpoint))
        });
        coins
    }

    /// Whether the transaction that made `outpoint` was signed by this wallet.
    fn is_ours(&self, chain: &Chain, outpoint: &OutPoint) -> bool {
        let Some((tx, _)) = chain.transaction(&outpoint.txid) else { return false };
        tx.input.iter().all(|input| {
            let parent = chain.transaction(&input.previous_output.txid);
            let spent = parent.and_then(|(tx, _)| tx.output.get(input.previous_output.vout as usize));
            spent.is_some_and(|output| output.script_pubkey == self.script)
        })
    }

    pub(super) fn sign(&self, tx: &mut Transaction, coins: &[Coin]) {
        let public = self.key.public_key(&self.secp);
        let mut cache = SighashCache::new(tx);
        for (index, coin) in coins.iter().enumerate() {
            let digest = cache
                .p2wpkh_signature_hash(index, &self.script, coin.output.value, EcdsaSighashType::All)
                .expect("the script is P2WPKH and the index is one of this transaction's");
            let signature = self.secp.sign_ecdsa(&Message::from_digest(digest.to_byte_array()), &self.key);
            if let Some(witness) = cache.witness_mut(index) {
                *witness = Witness::p2wpkh(&bitcoin::ecdsa::Signature::sighash_all(signature), &public);
            }
        }
    }

    fn reserved(&self) -> MutexGuard<'_, HashMap<OutPoint, Txid>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
