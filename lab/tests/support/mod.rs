//! What several tests need: a key that signs anything, and a minimal HTTP client. Each test file uses its part.
#![allow(dead_code)]

use std::net::SocketAddr;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::key::TapTweak;
use bitcoin::secp256k1::{All, Keypair, Message, Secp256k1, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::transaction::Version;
use bitcoin::{Amount, CompressedPublicKey, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::Request;
use hyper_util::rt::TokioIo;
use mayfly_lab::chain::SharedChain;

/// A key whose coins the test spends by hand, to be able to do it wrongly.
pub struct Key {
    secp: Secp256k1<All>,
    pair: Keypair,
}

impl Key {
    pub fn new(byte: u8) -> Self {
        let secp = Secp256k1::new();
        let pair = SecretKey::from_slice(&[byte; 32]).unwrap().keypair(&secp);
        Key { secp, pair }
    }

    pub fn p2wpkh(&self) -> ScriptBuf {
        ScriptBuf::new_p2wpkh(&CompressedPublicKey(self.pair.public_key()).wpubkey_hash())
    }

    pub fn p2tr(&self) -> ScriptBuf {
        ScriptBuf::new_p2tr(&self.secp, self.pair.x_only_public_key().0, None)
    }

    /// Signs the first inputs of `tx`, which spend `coins`.
    pub fn sign_all_p2wpkh(&self, tx: &mut Transaction, coins: &[TxOut]) {
        let mut cache = SighashCache::new(tx);
        for (index, coin) in coins.iter().enumerate() {
            let hash =
                cache.p2wpkh_signature_hash(index, &coin.script_pubkey, coin.value, EcdsaSighashType::All).unwrap();
            let signature = self.secp.sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &self.pair.secret_key());
            let signature = bitcoin::ecdsa::Signature::sighash_all(signature);
            *cache.witness_mut(index).unwrap() = Witness::p2wpkh(&signature, &self.pair.public_key());
        }
    }

    /// Signs the only input of `tx`, which spends `coin`.
    pub fn sign_p2wpkh(&self, tx: &mut Transaction, coin: &TxOut) {
        self.sign_all_p2wpkh(tx, std::slice::from_ref(coin));
    }

    pub fn sign_p2tr(&self, tx: &mut Transaction, coin: &TxOut) {
        let mut cache = SighashCache::new(tx);
        let prevouts = [coin.clone()];
        let digest =
            cache.taproot_key_spend_signature_hash(0, &Prevouts::All(&prevouts), TapSighashType::Default).unwrap();
        let pair = self.pair.tap_tweak(&self.secp, None).to_keypair();
        let signature = self.secp.sign_schnorr(&Message::from_digest(digest.to_byte_array()), &pair);
        *cache.witness_mut(0).unwrap() = Witness::from_slice(&[signature.as_ref()]);
    }
}

/// One input, one output, unsigned, opted out of every lock.
pub fn spend(outpoint: OutPoint, to: &Script, sats: u64) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::from_sat(sats), script_pubkey: to.into() }],
    }
}

/// A confirmed coin of 1,000,000 satoshi that pays to `script`.
pub fn confirmed_coin(chain: &SharedChain, script: &Script) -> (OutPoint, TxOut) {
    let tx = chain.fund(script, 1_000_000).unwrap();
    (OutPoint::new(tx.compute_txid(), 0), tx.output[0].clone())
}

pub async fn get(server: SocketAddr, path: &str) -> (u16, Bytes) {
    exchange(server, "GET", path, Bytes::new()).await
}

pub async fn exchange(server: SocketAddr, method: &str, path: &str, body: Bytes) -> (u16, Bytes) {
    let stream = tokio::net::TcpStream::connect(server).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", "lab").body(Full::new(body)).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}
