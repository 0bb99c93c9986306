//! The Esplora interface: shapes, and the status codes that clients act on.

mod support;

use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize, deserialize_hex, serialize_hex};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, MerkleBlock, Transaction, Txid};
use mayfly_lab::chain::{script_hash, Reorged, SharedChain, Wallet};
use mayfly_lab::esplora::{EsploraServer, FeeTable};
use serde_json::{json, Value};
use support::{exchange, Key};

struct Lab {
    chain: SharedChain,
    fees: FeeTable,
    wallet: Wallet,
    server: EsploraServer,
}

impl Lab {
    /// A chain whose wallet has a confirmed coin of 10,000,000 satoshi.
    async fn start() -> Self {
        let chain = SharedChain::open(None).unwrap();
        let (fees, wallet) = (FeeTable::default(), Wallet::new("esplora test"));
        chain.fund(wallet.script(), 10_000_000).unwrap();
        let server = EsploraServer::start(chain.clone(), fees.clone()).await.unwrap();
        Lab { chain, fees, wallet, server }
    }

    /// Broadcasts a payment of the wallet to a taproot key.
    fn pay(&self) -> Transaction {
        let tx = self.wallet.pay(&self.chain, &Key::new(1).p2tr(), 100_000).unwrap();
        self.chain.submit(tx.clone()).unwrap();
        tx
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (status, body) = support::get(self.server.address(), path).await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn text(&self, path: &str) -> String {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    async fn post_tx(&self, body: String) -> (u16, String) {
        let (status, body) = exchange(self.server.address(), "POST", "/tx", body.into()).await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn the_tip_and_the_blocks_are_told() {
    let lab = Lab::start().await;
    let tip = lab.chain.tip();
    assert_eq!(lab.text("/blocks/tip/hash").await, tip.hash.to_string());
    assert_eq!(lab.text("/blocks/tip/height").await, tip.height.to_string());
    assert_eq!(lab.text(&format!("/block-height/{}", tip.height)).await, tip.hash.to_string());
    let header: Header = deserialize_hex(&lab.text(&format!("/block/{}/header", tip.hash)).await).unwrap();
    assert_eq!(header, tip.header);

    let blocks = lab.json("/blocks").await;
    assert_eq!(blocks.as_array().unwrap().len(), 10);
    let block = lab.chain.block_at(tip.height).unwrap();
    assert_eq!(
        blocks[0],
        json!({
            "id": tip.hash.to_string(), "height": tip.height, "version": 0x2000_0000, "timestamp": header.time,
            "tx_count": 2, "size": block.total_size(), "weight": block.weight().to_wu(),
            "merkle_root": header.merkle_root.to_string(), "previousblockhash": header.prev_blockhash.to_string(),
            "mediantime": lab.chain.read(|c| c.median_time_past(tip.height)), "nonce": header.nonce,
            "bits": 0x207f_ffff, "difficulty": header.difficulty_float(),
        })
    );
    assert_eq!(blocks[9]["height"], tip.height - 9);
    let oldest = lab.json("/blocks/2").await;
    assert_eq!(oldest.as_array().unwrap().len(), 3);
    assert_eq!(oldest[2]["previousblockhash"], Value::Null);
}

#[tokio::test]
async fn a_stale_block_has_a_status_and_a_header_but_no_height() {
    let lab = Lab::start().await;
    let old = lab.chain.tip();
    let path = format!("/block/{}/status", old.hash);
    assert_eq!(lab.json(&path).await, json!({ "in_best_chain": true, "height": old.height, "next_best": null }));
    lab.chain.mine(1).unwrap();
    let next = lab.chain.tip().hash.to_string();
    assert_eq!(lab.json(&path).await, json!({ "in_best_chain": true, "height": old.height, "next_best": next }));
    lab.chain.reorg(2, Reorged::Unconfirmed).unwrap();
    assert_eq!(lab.json(&path).await, json!({ "in_best_chain": false }));
    lab.text(&format!("/block/{}/header", old.hash)).await;
}

#[tokio::test]
async fn a_transaction_is_told_before_and_after_its_block() {
    let lab = Lab::start().await;
    let tx = lab.pay();
    let txid = tx.compute_txid();
    let told = lab.json(&format!("/tx/{txid}")).await;
    let spent = tx.input[0].previous_output;
    assert_eq!(
        told["vin"],
        json!([{
            "txid": spent.txid.to_string(), "vout": spent.vout, "scriptsig": "",
            "prevout": { "value": 10_000_000, "scriptpubkey": lab.wallet.script().to_hex_string() },
            "witness": tx.input[0].witness.iter().map(hex).collect::<Vec<_>>(),
            "sequence": tx.input[0].sequence.0, "is_coinbase": false,
        }])
    );
    assert_eq!(told["vout"][0], json!({ "value": 100_000, "scriptpubkey": Key::new(1).p2tr().to_hex_string() }));
    let change = tx.output[1].value.to_sat();
    assert_eq!(told["fee"], 10_000_000 - 100_000 - change);
    assert_eq!((&told["version"], &told["locktime"]), (&json!(2), &json!(0)));
    assert_eq!((&told["size"], &told["weight"]), (&json!(tx.total_size()), &json!(tx.weight().to_wu())));
    assert_eq!(told["status"], json!({ "confirmed": false }));
    let proof = format!("/tx/{txid}/merkleblock-proof");
    assert_eq!(lab.get(&proof).await.0, 404, "nothing proves what is unconfirmed");

    lab.chain.mine(1).unwrap();
    let tip = lab.chain.tip();
    let status = json!({
        "confirmed": true, "block_height": tip.height, "block_hash": tip.hash.to_string(), "block_time": tip.header.time,
    });
    assert_eq!(lab.json(&format!("/tx/{txid}")).await["status"], status);
    assert_eq!(lab.json(&format!("/tx/{txid}/status")).await, status);
    assert_eq!(lab.text(&format!("/tx/{txid}/hex")).await, serialize_hex(&tx));
    let (_, raw) = support::get(lab.server.address(), &format!("/tx/{txid}/raw")).await;
    assert_eq!(deserialize::<Transaction>(&raw).unwrap(), tx);
    let proof: MerkleBlock = deserialize_hex(&lab.text(&proof).await).unwrap();
    let (mut matches, mut indexes) = (Vec::new(), Vec::new());
    let root = proof.txn.extract_matches(&mut matches, &mut indexes).unwrap();
    assert_eq!((root, proof.header), (tip.header.merkle_root, tip.header));
    assert_eq!((matches, indexes), (vec![txid], vec![1]));
}

#[tokio::test]
async fn a_coinbase_has_no_prevout_and_no_fee() {
    let lab = Lab::start().await;
    let txid = lab.chain.block_at(1).unwrap().txdata[0].compute_txid();
    let told = lab.json(&format!("/tx/{txid}")).await;
    assert_eq!((&told["vin"][0]["prevout"], &told["vin"][0]["is_coinbase"]), (&Value::Null, &json!(true)));
    assert_eq!(told["fee"], 0);
}

#[tokio::test]
async fn an_output_knows_its_spender() {
    let lab = Lab::start().await;
    let tx = lab.pay();
    let spent = tx.input[0].previous_output;
    let path = format!("/tx/{}/outspend/{}", spent.txid, spent.vout);
    let mut expected = json!({
        "spent": true, "txid": tx.compute_txid().to_string(), "vin": 0, "status": { "confirmed": false },
    });
    assert_eq!(lab.json(&path).await, expected);
    lab.chain.mine(1).unwrap();
    expected["status"] = lab.json(&format!("/tx/{}/status", tx.compute_txid())).await;
    assert_eq!(expected["status"]["confirmed"], true);
    assert_eq!(lab.json(&path).await, expected);
    let all = lab.json(&format!("/tx/{}/outspends", tx.compute_txid())).await;
    assert_eq!(all, json!([{ "spent": false }, { "spent": false }]));
}

#[tokio::test]
async fn what_does_not_exist_is_404_and_what_is_no_question_is_400() {
    let lab = Lab::start().await;
    let (txid, hash) = (Txid::from_byte_array([7; 32]), BlockHash::from_byte_array([7; 32]));
    let known = lab.pay().compute_txid();
    let mut absent = vec![format!("/tx/{txid}"), format!("/tx/{known}/outspend/9"), "/block-height/9999".into()];
    absent.extend(
        ["status", "raw", "hex", "merkleblock-proof", "outspend/0", "outspends"].map(|e| format!("/tx/{txid}/{e}")),
    );
    absent.extend(["header", "status"].map(|e| format!("/block/{hash}/{e}")));
    absent.push("/no-such-thing".into());
    for path in absent {
        assert_eq!(lab.get(&path).await.0, 404, "{path}");
    }
    for path in [
        "/tx/zz",
        "/tx/zz/raw",
        "/tx/00ff/outspends",
        &format!("/tx/{known}/outspend/minus-one"),
        "/block/zz/status",
        "/block/%ff%fe/header",
        "/block-height/-1",
        "/block-height/99999999999",
        "/blocks/x",
        "/scripthash/zz/txs",
        &format!("/scripthash/{txid}/txs/chain/zz"),
    ] {
        assert_eq!(lab.get(path).await.0, 400, "{path}");
    }
}

#[tokio::test]
async fn a_broadcast_answers_the_txid_or_400_with_the_reason() {
    let lab = Lab::start().await;
    let tx = lab.wallet.pay(&lab.chain, &Key::new(1).p2tr(), 100_000).unwrap();
    let txid = tx.compute_txid().to_string();
    let mut bad = tx.clone();
    bad.input[0].witness.clear();
    let (status, reason) = lab.post_tx(serialize_hex(&bad)).await;
    assert_eq!(status, 400);
    assert!(reason.contains("mandatory-script-verify-flag-failed"), "{reason}");
    assert_eq!(lab.post_tx(serialize_hex(&tx)).await, (200, txid.clone()));
    assert_eq!(lab.post_tx(format!("{}\n", serialize_hex(&tx))).await, (200, txid.clone()), "known is a success");
    lab.chain.mine(1).unwrap();
    assert_eq!(lab.post_tx(serialize_hex(&tx)).await, (200, txid), "also in the chain");
    for garbage in ["", "zz", "0200", &serialize_hex(&tx)[2..], &format!("{}00", serialize_hex(&tx))] {
        assert_eq!(lab.post_tx(garbage.into()).await.0, 400, "{garbage}");
    }
    let (status, _) = exchange(lab.server.address(), "POST", "/tx", vec![0xff, 0xfe].into()).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_script_s_history_is_newest_first_and_paged_by_25() {
    let lab = Lab::start().await;
    let mut newest_first = Vec::new();
    for n in 0..30 {
        newest_first.insert(0, lab.pay().compute_txid().to_string());
        if n % 7 == 6 {
            lab.chain.mine(1).unwrap();
        }
    }
    lab.chain.mine(1).unwrap();
    let waiting = [lab.pay(), lab.pay()].map(|tx| tx.compute_txid().to_string());
    let ids = |page: &Value| -> Vec<String> {
        page.as_array().unwrap().iter().map(|tx| tx["txid"].as_str().unwrap().to_string()).collect()
    };

    let path = format!("/scripthash/{}/txs", script_hash(&Key::new(1).p2tr()));
    let first = ids(&lab.json(&path).await);
    assert_eq!(first[..2], [waiting[1].clone(), waiting[0].clone()], "the mempool comes first");
    assert_eq!(first[2..], newest_first[..25]);
    let second = ids(&lab.json(&format!("{path}/chain/{}", first[26])).await);
    assert_eq!(second, newest_first[25..]);
    assert_eq!(lab.json(&format!("{path}/chain/{}", second[4])).await, json!([]));
    // A script that only spends, and one that nobody knows.
    let funding = ids(&lab.json(&format!("/scripthash/{}/txs", script_hash(lab.wallet.script()))).await);
    assert_eq!(funding.len(), 27);
    let unknown = script_hash(&Key::new(99).p2tr());
    assert_eq!(lab.json(&format!("/scripthash/{unknown}/txs")).await, json!([]));

    // What of it is unspent, by the script's hash and by its address: each output once, confirmed or not.
    let script = Key::new(1).p2tr();
    let unspent = lab.json(&format!("/scripthash/{}/utxo", script_hash(&script))).await;
    let address = bitcoin::Address::from_script(&script, bitcoin::Network::Regtest).unwrap();
    assert_eq!(lab.json(&format!("/address/{address}/utxo")).await, unspent);
    let mut listed = ids(&unspent);
    let mut paying: Vec<String> = waiting.iter().chain(&newest_first).cloned().collect();
    listed.sort();
    paying.sort();
    assert_eq!(listed, paying);
    let confirmed = unspent.as_array().unwrap().iter().filter(|utxo| utxo["status"]["confirmed"] == true);
    assert_eq!(confirmed.count(), newest_first.len());
    assert_eq!(lab.json(&format!("/scripthash/{unknown}/utxo")).await, json!([]));
    assert_eq!(lab.get("/address/bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu/utxo").await.0, 400);
}

#[tokio::test]
async fn fee_estimates_are_what_the_lab_sets() {
    let lab = Lab::start().await;
    let table = lab.json("/fee-estimates").await;
    assert_eq!((&table["1"], &table["144"], &table["1008"]), (&json!(1.0), &json!(1.0), &json!(1.0)));
    lab.fees.set([(1, 20.5), (6, 3.0)]);
    assert_eq!(lab.json("/fee-estimates").await, json!({ "1": 20.5, "6": 3.0 }));
    lab.fees.set([]);
    assert_eq!(lab.json("/fee-estimates").await, json!({}));
}

#[tokio::test]
async fn a_dropped_server_frees_its_port() {
    let lab = Lab::start().await;
    let (address, chain) = (lab.server.address(), lab.chain.clone());
    lab.text("/blocks/tip/hash").await;
    drop(lab.server);
    // The port is free once the task has seen it; until then the attempt is repeated, not timed.
    while EsploraServer::start_on(chain.clone(), FeeTable::default(), address.port()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

fn hex(bytes: &[u8]) -> String {
    use bitcoin::hex::DisplayHex;
    bytes.to_lower_hex_string()
}

#[tokio::test]
async fn a_replacement_is_taken_over_post_tx_and_what_it_replaced_is_404() {
    let lab = Lab::start().await;
    let key = Key::new(3);
    let (outpoint, coin) = support::confirmed_coin(&lab.chain, &key.p2wpkh());
    let paying = |fee: u64| {
        let mut tx = support::spend(outpoint, &key.p2tr(), 1_000_000 - fee);
        key.sign_p2wpkh(&mut tx, &coin);
        (serialize_hex(&tx), tx.compute_txid().to_string())
    };
    let ((first, old), (second, new)) = (paying(1_000), paying(2_000));
    assert_eq!(lab.post_tx(first.clone()).await, (200, old.clone()));
    let (status, reason) = lab.post_tx(paying(1_001).0).await;
    assert_eq!(status, 400);
    assert!(reason.starts_with("sendrawtransaction RPC error: insufficient fee, rejecting replacement"), "{reason}");
    assert_eq!(lab.post_tx(second).await, (200, new.clone()));
    for path in ["", "/status", "/hex", "/raw", "/outspend/0"] {
        assert_eq!(lab.get(&format!("/tx/{old}{path}")).await.0, 404, "{path}");
    }
    let spend_path = format!("/tx/{}/outspend/{}", outpoint.txid, outpoint.vout);
    assert_eq!(lab.json(&spend_path).await["txid"], new);
    let history = lab.json(&format!("/scripthash/{}/txs", script_hash(&key.p2tr()))).await;
    assert_eq!((history.as_array().unwrap().len(), &history[0]["txid"]), (1, &json!(new)));

    lab.chain.evict(new.parse().unwrap()).unwrap();
    assert_eq!(lab.get(&format!("/tx/{new}")).await.0, 404);
    assert_eq!(lab.json(&spend_path).await, json!({ "spent": false }));
    assert_eq!(lab.post_tx(first).await, (200, old), "the first may come again");
}
