//! Mnemonic → seed → KeysManager, exactly as ldk-node derives them, so that an existing wallet keeps its node id.
//!
//! The derivation: BIP 39 seed (no passphrase) → BIP 32 master → its private key's 32 bytes → LDK's `KeysManager`, which
//! takes them as the seed of a *second* BIP 32 master. The network does not take part: a mnemonic has one node id on all of them.
//! The on-chain wallet hangs from the first master (`onchain/account.rs`), where the network does.
//!
//! What must hold: the seed is derived once per node (PBKDF2 costs milliseconds), wiped when dropped, and no `Debug` shows it;
//! every start has its own `KeysManager`, because two with the same starting time would draw the same "random" bytes.

use crate::config::{network, Mnemonic};
use crate::error::{Code, Error, Result};
use crate::keyed_hash::keyed_hash;
use crate::onchain::{Account, Signer};
use crate::store::{StoreKey, WalletId};
use crate::{clock, entropy};
use bitcoin::bip32::Xpriv;
use bitcoin::hashes::{sha256, Hash, HashEngine};
use bitcoin::secp256k1::ecdsa::RecoverableSignature;
use bitcoin::secp256k1::PublicKey;
use bitcoin::Network;
use lightning::ln::inbound_payment::ExpandedKey;
use lightning::sign::{KeysManager, NodeSigner, Recipient};
use lightning_invoice::RawBolt11Invoice;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use zeroize::{Zeroize, Zeroizing};

/// A new mnemonic of 12 or 24 words, from the operating system's randomness. `INVALID_ARGUMENT` for another count.
pub fn generate_mnemonic(words: u64) -> Result<String> {
    let entropy: Zeroizing<Vec<u8>> = Zeroizing::new(match words {
        12 => entropy::random::<16>().to_vec(),
        24 => entropy::random::<32>().to_vec(),
        other => return Err(Error::argument("words", format!("words is {other}; it must be 12 or 24"))),
    });
    let mnemonic = bip39::Mnemonic::from_entropy(&entropy).map_err(|_| internal("entropy of a wrong length"))?;
    Ok(mnemonic.to_string())
}

/// The node id of a mnemonic, 66 hexadecimal characters. `INVALID_ARGUMENT` for `mnemonic` or `network`.
pub fn derive_node_id(mnemonic: &str, network: &str) -> Result<String> {
    let mnemonic = Mnemonic::parse(mnemonic).map_err(|what| Error::argument("mnemonic", what))?;
    let network = network::parse(network).map_err(|what| Error::argument("network", what))?;
    Ok(Keys::derive(&mnemonic, network)?.node_id().to_string())
}

/// The 32 bytes from which LDK derives everything, and the on-chain account. Wiped on drop.
pub struct Seed {
    ldk: [u8; 32],
    account: Arc<Account>,
}

impl Seed {
    /// Costs about 2.5 ms (PBKDF2): once per node, never per invoice.
    pub fn derive(mnemonic: &Mnemonic, network: Network) -> Result<Seed> {
        let seed = Zeroizing::new(mnemonic.0.to_seed_normalized(""));
        let mut master =
            Xpriv::new_master(network, seed.as_ref()).map_err(|_| internal("a seed without a master key"))?;
        let ldk = master.private_key.secret_bytes();
        let account = Account::derive(&master, network);
        master.private_key.non_secure_erase();
        Ok(Seed { ldk, account: Arc::new(account?) })
    }

    /// A key for one purpose, which tells nothing about the seed or about another purpose's key.
    fn key_for(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(keyed_hash(&self.ldk, &[purpose.as_bytes()]))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.ldk.zeroize();
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(hidden)")
    }
}

/// What a node signs and derives with. Built once per node and shared.
pub struct Keys {
    seed: Seed,
    /// For invoices and the node id; running nodes get their own from `manager`.
    signer: KeysManager,
    expanded_key: ExpandedKey,
    node_id: PublicKey,
}

impl Keys {
    /// The keys of a mnemonic; costs what `Seed::derive` costs, and half a millisecond.
    pub fn derive(mnemonic: &Mnemonic, network: Network) -> Result<Keys> {
        Keys::new(Seed::derive(mnemonic, network)?)
    }

    /// The keys of a mnemonic, shared with every node of that wallet which lives in this process: a thousand webhooks at once
    /// derive them once. Nothing is kept when the last of those nodes is gone.
    pub fn shared(mnemonic: &Mnemonic, network: Network) -> Result<Arc<Keys>> {
        static LIVE: Mutex<Vec<(sha256::Hash, Weak<Keys>)>> = Mutex::new(Vec::new());
        let lock = || LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        let name = fingerprint(mnemonic, network);
        let found = lock().iter().find(|(of, _)| *of == name).and_then(|(_, keys)| keys.upgrade());
        if let Some(keys) = found {
            return Ok(keys);
        }
        // Not under the lock: another thread's wallet need not wait for ours.
        let keys = Arc::new(Keys::derive(mnemonic, network)?);
        let mut live = lock();
        live.retain(|(of, keys)| *of != name && keys.strong_count() > 0);
        live.push((name, Arc::downgrade(&keys)));
        Ok(keys)
    }

    /// The keys of a seed; about half a millisecond.
    pub fn new(seed: Seed) -> Result<Keys> {
        let signer = fresh_manager(&seed);
        let node_id = signer.get_node_id(Recipient::Node).map_err(|()| internal("a signer without a node id"))?;
        Ok(Keys { expanded_key: signer.get_expanded_key(), signer, node_id, seed })
    }

    /// A fresh signer for one start of the node.
    pub fn manager(&self) -> Arc<Signer> {
        Arc::new(Signer::new(fresh_manager(&self.seed), Arc::clone(self.account())))
    }

    /// The on-chain addresses and their keys.
    pub fn account(&self) -> &Arc<Account> {
        &self.seed.account
    }

    /// The keys behind payment hashes and secrets. Its own `Debug` shows them: never log it.
    pub fn expanded_key(&self) -> &ExpandedKey {
        &self.expanded_key
    }

    /// Who we are on the network.
    pub fn node_id(&self) -> PublicKey {
        self.node_id
    }

    /// The wallet's name in stores: equal for every process with this mnemonic and network, and telling neither.
    pub fn wallet_id(&self, network: Network) -> WalletId {
        // A wallet is found under this for ever: no byte of it may change.
        let key = self.seed.key_for("mayfly wallet id key");
        let parts = [b"mayfly wallet id".as_slice(), network::name(network).as_bytes(), &self.node_id.serialize()];
        WalletId(keyed_hash(&key, &parts))
    }

    /// What seals the wallet's rows in a store that others can read.
    pub fn store_key(&self, network: Network) -> StoreKey {
        // Rows are opened with this for ever: no byte of it may change. The wallet's id is in it, so that nobody sees that two
        // networks' wallets are of one mnemonic.
        let key = self.seed.key_for("mayfly store key");
        StoreKey::new(keyed_hash(&key, &[b"mayfly store".as_slice(), &self.wallet_id(network).0]))
    }

    /// Signs with the node's key.
    pub(crate) fn sign_invoice(&self, invoice: &RawBolt11Invoice) -> Result<RecoverableSignature> {
        self.signer.sign_invoice(invoice, Recipient::Node).map_err(|()| internal("a signer that refuses invoices"))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// What tells wallets apart within this process, without deriving a key. Never leaves it: unlike a wallet's id it says something
/// of the mnemonic.
pub(crate) fn fingerprint(mnemonic: &Mnemonic, network: Network) -> sha256::Hash {
    let mut engine = sha256::Hash::engine();
    engine.input(network::name(network).as_bytes());
    engine.input(Zeroizing::new(mnemonic.0.to_string()).as_bytes());
    sha256::Hash::from_engine(engine)
}

fn fresh_manager(seed: &Seed) -> KeysManager {
    let (secs, nanos) = unique_start();
    // v2 remote key derivation: what a counterparty's force-close pays us is found from the seed alone.
    KeysManager::new(&seed.ldk, secs, nanos, true)
}

/// LDK's "starting time" need not be a time, only unlike every other start of the seed: it is hashed into the bytes that
/// LDK draws. The clock and 64 random bits keep processes and machines apart, thawed clones of one process included; the
/// counter keeps apart what this process starts, whatever clock and randomness say.
fn unique_start() -> (u64, u32) {
    static STARTS: AtomicU32 = AtomicU32::new(0);
    let clock = u64::try_from(clock::now().as_nanos()).unwrap_or(u64::MAX);
    (clock ^ u64::from_ne_bytes(entropy::random()), STARTS.fetch_add(1, Ordering::Relaxed))
}

/// What can't happen with any mnemonic that anyone will ever draw.
fn internal(what: &str) -> Error {
    Error::new(Code::Internal, format!("deriving the keys failed: {what}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
#[path = "keys_tests.rs"]
mod tests;
