//! The addresses of a wallet and the keys behind them: BIP 84, `m/84'/coin'/0'/chain/index`, of the BIP 32 master of the
//! mnemonic, exactly as ldk-node has them, so that any BIP 84 wallet finds the coins from the mnemonic alone.
//!
//! One address of a chain serves until something was paid to it; then the next one does. So every wallet's gap limit is kept,
//! however many channels come and go, and an index that a crash hands out twice costs nothing but a second payment to one address.
//!
//! What must hold: LDK takes every output to a channel's two scripts in a transaction that it watches for that channel's money.
//! So the two differ (external: cooperative closes; internal: claims on chain), and a sweep, which LDK sees as well, pays to an
//! internal address that no channel was ever given ([`Serving::take_for_sweep`]).

use crate::error::{Code, Error, Result};
use bitcoin::bip32::{ChildNumber, Xpriv};
use bitcoin::ecdsa::Signature;
use bitcoin::secp256k1::{All, Message, Secp256k1, SecretKey};
use bitcoin::sighash::SegwitV0Sighash;
use bitcoin::{Address, CompressedPublicKey, Network, NetworkKind, ScriptBuf, Witness};
use serde::{Deserialize, Serialize};
use std::fmt;

/// BIP 84: pay to witness public key hash.
const PURPOSE: u32 = 84;

/// A chain of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chain {
    /// Told to others: users, and the LSP for cooperative closes.
    External,
    /// Paid to by transactions of our own.
    Internal,
}

/// One address: its chain and its index there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Which chain.
    pub chain: Chain,
    /// From 0.
    pub index: u32,
}

/// The index of each chain that serves now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Of the external chain.
    pub external: u32,
    /// Of the internal chain.
    pub internal: u32,
}

impl Serving {
    /// Something was paid to that place: it does not serve any more.
    pub fn used(&mut self, place: Place) {
        let serving = match place.chain {
            Chain::External => &mut self.external,
            Chain::Internal => &mut self.internal,
        };
        *serving = (*serving).max(place.index.saturating_add(1));
    }

    /// An internal place that no channel was given, nor ever will be: the one after that which serves.
    pub fn take_for_sweep(&mut self) -> Place {
        let place = Place { chain: Chain::Internal, index: self.internal.saturating_add(1) };
        self.used(place);
        place
    }
}

/// The account's two chains. Their keys are erased on drop.
pub struct Account {
    external: Xpriv,
    internal: Xpriv,
    network: Network,
    secp: Secp256k1<All>,
}

impl Account {
    /// Of that master key.
    pub fn derive(master: &Xpriv, network: Network) -> Result<Account> {
        let coin = match NetworkKind::from(network) {
            NetworkKind::Main => 0,
            NetworkKind::Test => 1,
        };
        let hardened = |index| ChildNumber::from_hardened_idx(index).map_err(|_| impossible());
        let path = [hardened(PURPOSE)?, hardened(coin)?, hardened(0)?];
        let secp = Secp256k1::new();
        let mut account = master.derive_priv(&secp, &path).map_err(|_| impossible())?;
        let chain = |index| account.derive_priv(&secp, &[ChildNumber::Normal { index }]).map_err(|_| impossible());
        let (external, internal) = (chain(0), chain(1));
        account.private_key.non_secure_erase();
        Ok(Account { external: external?, internal: internal?, network, secp })
    }

    /// The address of that place.
    pub fn address(&self, place: Place) -> Result<Address> {
        Ok(Address::p2wpkh(&self.public_key(place)?, self.network))
    }

    /// What pays to that address.
    pub fn script(&self, place: Place) -> Result<ScriptBuf> {
        Ok(ScriptBuf::new_p2wpkh(&self.public_key(place)?.wpubkey_hash()))
    }

    /// The place of a script, among those that serve or served.
    pub fn find(&self, script: &ScriptBuf, serving: Serving) -> Option<Place> {
        if !script.is_p2wpkh() {
            return None;
        }
        let of = |chain, last: u32| (0..=last).rev().map(move |index| Place { chain, index });
        let mut places = of(Chain::External, serving.external).chain(of(Chain::Internal, serving.internal));
        places.find(|place| self.script(*place).is_ok_and(|own| own == *script))
    }

    /// The network of its addresses.
    pub fn network(&self) -> Network {
        self.network
    }

    /// What spends an output that pays to that place.
    pub(super) fn witness(&self, place: Place, hash: SegwitV0Sighash) -> Result<Witness> {
        let (key, public) = (self.secret_key(place)?, self.public_key(place)?);
        let signature = self.secp.sign_ecdsa_low_r(&Message::from(hash), &key);
        Ok(Witness::p2wpkh(&Signature::sighash_all(signature), &public.0))
    }

    fn public_key(&self, place: Place) -> Result<CompressedPublicKey> {
        Ok(CompressedPublicKey(self.secret_key(place)?.public_key(&self.secp)))
    }

    fn secret_key(&self, Place { chain, index }: Place) -> Result<SecretKey> {
        let child = ChildNumber::from_normal_idx(index).map_err(|_| {
            Error::new(Code::StateCorrupt, format!("the wallet's address index is {index}, which no address can have"))
        })?;
        let chain = match chain {
            Chain::External => &self.external,
            Chain::Internal => &self.internal,
        };
        Ok(chain.derive_priv(&self.secp, &[child]).map_err(|_| impossible())?.private_key)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.external.private_key.non_secure_erase();
        self.internal.private_key.non_secure_erase();
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(hidden)")
    }
}

/// A tweak beyond the group's order: nobody will ever meet one.
fn impossible() -> Error {
    Error::new(Code::Internal, "deriving an address failed")
}

#[cfg(test)]
#[path = "tests/account.rs"]
mod tests;
