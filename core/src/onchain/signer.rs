//! LDK's `KeysManager`, with the wallet's own addresses where LDK would pay to keys that no other wallet can find.
//!
//! LDK asks for a script when a channel is opened (a cooperative close pays to it, and claims on chain do) and keeps it with the
//! channel. Everything else is LDK's own derivation from the seed.

use super::account::{Account, Chain, Place, Serving};
use bitcoin::absolute::LockTime;
use bitcoin::secp256k1::ecdh::SharedSecret;
use bitcoin::secp256k1::ecdsa::{RecoverableSignature, Signature};
use bitcoin::secp256k1::{schnorr, All, PublicKey, Scalar, Secp256k1};
use bitcoin::{ScriptBuf, Transaction, TxOut};
use lightning::ln::inbound_payment::ExpandedKey;
use lightning::ln::msgs::UnsignedGossipMessage;
use lightning::ln::script::ShutdownScript;
use lightning::offers::invoice::UnsignedBolt12Invoice;
use lightning::sign::{
    EntropySource, InMemorySigner, KeysManager, NodeSigner, OutputSpender, PeerStorageKey, ReceiveAuthKey, Recipient,
    SignerProvider, SpendableOutputDescriptor,
};
use lightning_invoice::RawBolt11Invoice;
use std::sync::{Arc, Mutex, PoisonError};

/// What a running node signs with.
pub struct Signer {
    ldk: KeysManager,
    own: Option<Own>,
}

struct Own {
    account: Arc<Account>,
    serving: Mutex<Serving>,
}

impl Signer {
    /// Pays to the account, from its first addresses on until [`Signer::serve`] says otherwise.
    pub fn new(ldk: KeysManager, account: Arc<Account>) -> Signer {
        Signer { ldk, own: Some(Own { account, serving: Mutex::default() }) }
    }

    /// Pays to LDK's own keys: for nodes without an on-chain wallet.
    pub fn plain(ldk: KeysManager) -> Signer {
        Signer { ldk, own: None }
    }

    /// Channels that are opened from now on pay to these addresses.
    pub fn serve(&self, serving: Serving) {
        if let Some(own) = &self.own {
            *own.serving.lock().unwrap_or_else(PoisonError::into_inner) = serving;
        }
    }

    /// The account, if it has one.
    pub fn account(&self) -> Option<&Arc<Account>> {
        self.own.as_ref().map(|own| &own.account)
    }

    fn own_script(&self, chain: Chain) -> Option<Result<ScriptBuf, ()>> {
        let own = self.own.as_ref()?;
        let serving = *own.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let index = match chain {
            Chain::External => serving.external,
            Chain::Internal => serving.internal,
        };
        Some(own.account.script(Place { chain, index }).map_err(|error| {
            tracing::error!(reason = %error.message, "no address for a channel");
        }))
    }
}

impl SignerProvider for Signer {
    type EcdsaSigner = InMemorySigner;

    fn generate_channel_keys_id(&self, inbound: bool, user_channel_id: u128) -> [u8; 32] {
        self.ldk.generate_channel_keys_id(inbound, user_channel_id)
    }

    fn derive_channel_signer(&self, channel_keys_id: [u8; 32]) -> InMemorySigner {
        self.ldk.derive_channel_signer(channel_keys_id)
    }

    fn get_destination_script(&self, channel_keys_id: [u8; 32]) -> Result<ScriptBuf, ()> {
        self.own_script(Chain::Internal).unwrap_or_else(|| self.ldk.get_destination_script(channel_keys_id))
    }

    fn get_shutdown_scriptpubkey(&self) -> Result<ShutdownScript, ()> {
        match self.own_script(Chain::External) {
            Some(script) => ShutdownScript::try_from(script?).map_err(drop),
            None => self.ldk.get_shutdown_scriptpubkey(),
        }
    }
}

impl OutputSpender for Signer {
    fn spend_spendable_outputs(
        &self,
        descriptors: &[&SpendableOutputDescriptor],
        outputs: Vec<TxOut>,
        change_destination_script: ScriptBuf,
        feerate_sat_per_1000_weight: u32,
        locktime: Option<LockTime>,
        secp_ctx: &Secp256k1<All>,
    ) -> Result<Transaction, ()> {
        let (change, feerate) = (change_destination_script, feerate_sat_per_1000_weight);
        self.ldk.spend_spendable_outputs(descriptors, outputs, change, feerate, locktime, secp_ctx)
    }
}

impl EntropySource for Signer {
    fn get_secure_random_bytes(&self) -> [u8; 32] {
        self.ldk.get_secure_random_bytes()
    }
}

impl NodeSigner for Signer {
    fn get_expanded_key(&self) -> ExpandedKey {
        self.ldk.get_expanded_key()
    }

    fn get_peer_storage_key(&self) -> PeerStorageKey {
        self.ldk.get_peer_storage_key()
    }

    fn get_receive_auth_key(&self) -> ReceiveAuthKey {
        self.ldk.get_receive_auth_key()
    }

    fn get_node_id(&self, recipient: Recipient) -> Result<PublicKey, ()> {
        self.ldk.get_node_id(recipient)
    }

    fn ecdh(&self, recipient: Recipient, other: &PublicKey, tweak: Option<&Scalar>) -> Result<SharedSecret, ()> {
        self.ldk.ecdh(recipient, other, tweak)
    }

    fn sign_invoice(&self, invoice: &RawBolt11Invoice, recipient: Recipient) -> Result<RecoverableSignature, ()> {
        self.ldk.sign_invoice(invoice, recipient)
    }

    fn sign_bolt12_invoice(&self, invoice: &UnsignedBolt12Invoice) -> Result<schnorr::Signature, ()> {
        self.ldk.sign_bolt12_invoice(invoice)
    }

    fn sign_gossip_message(&self, msg: UnsignedGossipMessage) -> Result<Signature, ()> {
        self.ldk.sign_gossip_message(msg)
    }

    fn sign_message(&self, msg: &[u8]) -> Result<String, ()> {
        self.ldk.sign_message(msg)
    }
}

#[cfg(test)]
#[path = "tests/signer.rs"]
mod tests;
