use super::*;
use crate::config::Mnemonic;
use crate::keys::Keys;
use crate::onchain::Chain;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{Message, Secp256k1};
use bitcoin::{CompressedPublicKey, Network};

const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

fn keys() -> Keys {
    Keys::derive(&Mnemonic::parse(ABANDON).unwrap(), Network::Regtest).unwrap()
}

fn coin(vout: u32, sats: u64) -> Coin {
    let chain = if vout % 2 == 0 { Chain::External } else { Chain::Internal };
    Coin { txid: Txid::all_zeros(), vout, sats, place: Place { chain, index: vout } }
}

fn elsewhere() -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_byte_array([9; 20]))
}

#[test]
fn all_coins_arrive_but_for_the_fee_that_was_asked() {
    let keys = keys();
    let coins = [coin(0, 10_000), coin(1, 20_000), coin(2, 30_000)];
    for sat_per_kw in [253, 1_000, 25_000] {
        let Spent { transaction, amount_sats, fee_sats } =
            spend_all(keys.account(), &coins, elsewhere(), sat_per_kw, 700).unwrap();
        assert_eq!(amount_sats + fee_sats, 60_000);
        assert_eq!(transaction.output, [TxOut { value: Amount::from_sat(amount_sats), script_pubkey: elsewhere() }]);
        assert_eq!(transaction.input.iter().map(|input| input.previous_output.vout).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(transaction.lock_time.to_consensus_u32(), 700);
        assert!(transaction.is_explicitly_rbf());
        let weight = transaction.weight().to_wu();
        let asked = super::fee_sats(weight, sat_per_kw);
        assert!(fee_sats >= asked, "{fee_sats} for {weight} weight units is less than {sat_per_kw} sat/kw");
        assert!(fee_sats <= super::fee_sats(weight + 3 * 3, sat_per_kw), "{fee_sats} for {weight} weight units");
    }
}

#[test]
fn each_input_is_signed_with_the_key_of_its_own_address() {
    let keys = keys();
    let coins = [coin(0, 10_000), coin(1, 20_000)];
    let transaction = spend_all(keys.account(), &coins, elsewhere(), 253, 700).unwrap().transaction;
    let secp = Secp256k1::new();
    for (index, coin) in coins.iter().enumerate() {
        let script = keys.account().script(coin.place).unwrap();
        let witness: Vec<&[u8]> = transaction.input[index].witness.iter().collect();
        let key = CompressedPublicKey::from_slice(witness[1]).unwrap();
        assert_eq!(ScriptBuf::new_p2wpkh(&key.wpubkey_hash()), script);
        let hash = SighashCache::new(&transaction)
            .p2wpkh_signature_hash(index, &script, Amount::from_sat(coin.sats), EcdsaSighashType::All)
            .unwrap();
        let signature = bitcoin::ecdsa::Signature::from_slice(witness[0]).unwrap().signature;
        secp.verify_ecdsa(&Message::from(hash), &signature, &key.0).unwrap();
    }
}

#[test]
fn a_coin_that_costs_more_than_it_is_worth_stays() {
    let coins = [coin(0, 60_000), coin(1, 271)];
    let spent = |rate| spend_all(keys().account(), &coins, elsewhere(), rate, 700).unwrap().transaction.input.len();
    assert_eq!(spent(253), 2);
    assert_eq!(spent(1_000), 1);
}

#[test]
fn nothing_and_too_little_are_insufficient_funds() {
    for coins in [vec![], vec![coin(0, 200)], vec![coin(0, 294)], vec![coin(0, 380)]] {
        let error = spend_all(keys().account(), &coins, elsewhere(), 253, 700).unwrap_err();
        assert_eq!(error.code, Code::InsufficientFunds, "{coins:?}: {error}");
    }
    // 294 sat is the least that an output to this kind of address may hold.
    let least = spend_all(keys().account(), &[coin(0, 294 + 111)], elsewhere(), 253, 700).unwrap();
    assert!(least.amount_sats >= 294, "{least:?}");
}
