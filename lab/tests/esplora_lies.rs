//! Each lie of Esplora, as a client meets it, and the truth before and after.

mod support;

use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{MerkleBlock, Network};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mayfly_lab::chain::{SharedChain, Wallet};
use mayfly_lab::esplora::{lying_router, EsploraServer, FeeTable, Lie, Lies, Told};
use support::{exchange, Key};

const TIP: &str = "/blocks/tip/hash";

struct World {
    chain: SharedChain,
    lies: Lies,
    server: EsploraServer,
}

impl World {
    async fn start() -> Self {
        let (chain, lies) = (SharedChain::open(None).unwrap(), Lies::default());
        chain.mine(10).unwrap();
        let routes = lying_router(chain.clone(), FeeTable::default(), lies.clone());
        World { server: EsploraServer::serve(routes, 0).await.unwrap(), chain, lies }
    }

    fn tell(&self, lie: Lie) {
        self.lies.set(Some(Told { lie, path: "/".into(), times: None, blocks: 3 }));
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (status, body) = support::get(self.server.address(), path).await;
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// The answer before its body is read.
    async fn open(&self, path: &str) -> Response<Incoming> {
        let stream = tokio::net::TcpStream::connect(self.server.address()).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().uri(path).header("host", "lab").body(Empty::<Bytes>::new()).unwrap();
        sender.send_request(request).await.unwrap()
    }

    fn true_tip(&self) -> String {
        self.chain.tip().hash.to_string()
    }
}

#[tokio::test]
async fn a_lie_is_told_to_its_paths_so_often_as_it_says_and_then_the_truth() {
    let world = World::start().await;
    world.lies.set(Some(Told { lie: Lie::InternalError, path: "/blocks/".into(), times: Some(2), blocks: 0 }));
    assert_eq!(world.get("/block-height/0").await.0, 200);
    for expected in [500, 500, 200, 200] {
        assert_eq!(world.get(TIP).await.0, expected);
    }
    assert_eq!(world.lies.count(), 2);
    world.tell(Lie::Html);
    world.lies.set(None);
    assert_eq!(world.get(TIP).await, (200, world.true_tip()));
}

#[tokio::test]
async fn statuses_and_bodies_are_as_named() {
    let world = World::start().await;
    let tip = world.true_tip();
    for (lie, status, part) in [
        (Lie::Html, 200, "<!DOCTYPE html>"),
        (Lie::Truncated, 200, &tip[..32]),
        (Lie::EmptyBody, 200, ""),
        (Lie::InternalError, 500, "internal"),
        (Lie::BadGateway, 502, "<html>"),
        (Lie::Unavailable, 503, "overloaded"),
        (Lie::NotFound, 404, "not found"),
        (Lie::Redirect, 302, ""),
        (Lie::Gzip, 200, "\u{1f}"),
    ] {
        world.tell(lie);
        let (got, body) = world.get(TIP).await;
        assert_eq!(got, status, "{lie:?}");
        assert!(body.contains(part) && !body.contains(&tip), "{lie:?}: {body}");
    }
    for (lie, status) in [(Lie::TooMany, 429), (Lie::Busy, 503)] {
        world.tell(lie);
        let response = world.open(TIP).await;
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (status, &"7".parse().unwrap()));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_announced_more() {
    let world = World::start().await;
    world.tell(Lie::BrokenOff);
    let response = world.open(TIP).await;
    assert_eq!(response.headers()["content-length"], "64");
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn bodies_flow_as_long_as_somebody_reads() {
    let world = World::start().await;
    for (lie, announced) in [
        (Lie::EndlessBody, None),
        (Lie::HugeBody, Some("1073741824")),
        (Lie::HugeBodyChunked, None),
        (Lie::SlowBody, None),
    ] {
        world.tell(lie);
        let response = world.open(TIP).await;
        let length = response.headers().get("content-length").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(length.as_deref(), announced, "{lie:?}");
        let mut body = response.into_body();
        let (mut frames, mut bytes) = (0, 0);
        while frames < 20 {
            bytes += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
            frames += 1;
        }
        assert!(lie != Lie::SlowBody || bytes < 200, "{lie:?}: {bytes} bytes");
    }
}

#[tokio::test]
async fn a_stale_tip_is_a_block_of_before() {
    let world = World::start().await;
    world.tell(Lie::StaleTip);
    let before = world.chain.block_at(world.chain.height() - 3).unwrap().block_hash();
    assert_eq!(world.get(TIP).await.1, before.to_string());
    assert_eq!(world.get("/blocks/tip/height").await.1, (world.chain.height() - 3).to_string());
    assert_eq!(world.get(&format!("/block-height/{}", world.chain.height())).await.1, world.true_tip());
}

#[tokio::test]
async fn forged_headers_are_another_block_or_have_no_work() {
    let world = World::start().await;
    let header = |hex: String| deserialize_hex::<Header>(&hex).unwrap();
    world.tell(Lie::WrongHeader);
    let other = header(world.get(&format!("/block/{}/header", world.true_tip())).await.1);
    assert_ne!(other.block_hash().to_string(), world.true_tip());

    world.tell(Lie::NoWork);
    let tip = world.get(TIP).await.1;
    let forged = header(world.get(&format!("/block/{tip}/header")).await.1);
    assert_eq!(forged.block_hash().to_string(), tip);
    assert_eq!(forged.prev_blockhash.to_string(), world.true_tip());
    assert!(forged.validate_pow(forged.target()).is_err());
    let status = world.get(&format!("/block/{tip}/status")).await.1;
    assert!(status.contains(&format!("\"height\":{}", world.chain.height() + 1)), "{status}");
    // What it is not about is true.
    assert_eq!(world.get(&format!("/block/{}/status", world.true_tip())).await.0, 200);
}

#[tokio::test]
async fn another_network_has_its_own_first_block_and_knows_nothing_of_ours() {
    let world = World::start().await;
    world.tell(Lie::WrongNetwork);
    let genesis = bitcoin::constants::genesis_block(Network::Bitcoin).block_hash().to_string();
    assert_eq!(world.get("/block-height/0").await, (200, genesis.clone()));
    assert_eq!(world.get(TIP).await, (200, genesis));
    assert_eq!(world.get(&format!("/block/{}/status", world.true_tip())).await.0, 404);
}

#[tokio::test]
async fn a_changed_proof_proves_nothing_and_a_missing_transaction_has_a_proof() {
    let world = World::start().await;
    let txid = world.chain.block_at(5).unwrap().txdata[0].compute_txid();
    let proof = |hex: String| {
        let block = deserialize_hex::<MerkleBlock>(&hex).unwrap();
        block.extract_matches(&mut Vec::new(), &mut Vec::new())
    };
    let path = format!("/tx/{txid}/merkleblock-proof");
    assert!(proof(world.get(&path).await.1).is_ok());
    world.tell(Lie::WrongMerkle);
    assert!(proof(world.get(&path).await.1).is_err());
    world.tell(Lie::MissingTx);
    assert_eq!(world.get(&format!("/tx/{txid}/raw")).await.0, 404);
    assert!(proof(world.get(&path).await.1).is_ok());
}

#[tokio::test]
async fn a_refused_broadcast_does_not_reach_the_chain() {
    let world = World::start().await;
    let wallet = Wallet::new("lies");
    world.chain.fund(wallet.script(), 1_000_000).unwrap();
    let tx = wallet.pay(&world.chain, &Key::new(1).p2tr(), 10_000).unwrap();
    let hex = || Bytes::from(bitcoin::consensus::encode::serialize_hex(&tx));
    world.tell(Lie::RejectTx);
    let (status, body) = exchange(world.server.address(), "POST", "/tx", hex()).await;
    assert_eq!(status, 400);
    assert!(String::from_utf8_lossy(&body).contains("min relay fee not met"));
    assert!(world.chain.mempool().is_empty());
    world.lies.set(None);
    assert_eq!(exchange(world.server.address(), "POST", "/tx", hex()).await.0, 200);
    assert_eq!(world.chain.mempool().len(), 1);
}
