//! From a folder to a loaded node.

use super::settings::LabFees;
use super::{Base, Node, Port, Role};
use crate::chain::SharedChain;
use crate::hostile::{Hostile, Tamper};
use bitcoin::hashes::{sha256, Hash};
use bitcoin::secp256k1::PublicKey;
use bitcoin::Network;
use lightning::chain::BestBlock;
use lightning::ln::peer_handler::IgnoringMessageHandler;
use lightning::sign::{KeysManager, NodeSigner, Recipient};
use lightning::util::config::UserConfig;
use mayfly_core::checkpoint::{Committer, Engine, EngineParams};
use mayfly_core::error::{Code, Error, Result};
use mayfly_core::ldk::{PeerHandlers, PeerManager};
use mayfly_core::log::LdkLog;
use mayfly_core::onchain::Signer;
use mayfly_core::store::file::FileStore;
use mayfly_core::store::memory::MemoryStore;
use mayfly_core::store::{Claimant, Rows, Store, WalletId};
use mayfly_core::{clock, entropy};
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A local store answers or is broken.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

/// The key of a node: 32 bytes, as LDK's signer takes them.
#[derive(Clone)]
pub struct Identity([u8; 32]);

impl Identity {
    /// The node of that seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Identity(seed)
    }

    /// Keys for one start: LDK wants a time with each that no earlier start had.
    pub fn keys(&self) -> Arc<Signer> {
        let now = clock::now();
        Arc::new(Signer::plain(KeysManager::new(&self.0, now.as_secs(), now.subsec_nanos(), true)))
    }

    /// The public key that peers know.
    pub fn node_id(&self) -> Result<PublicKey> {
        node_id(&self.keys())
    }
}

/// What a node is opened with.
pub struct NodeParams {
    /// Its keys, fresh for this start.
    pub keys: Arc<Signer>,
    /// The folder of its store; `None` keeps it in this process's memory.
    pub dir: Option<PathBuf>,
    /// LDK's settings.
    pub settings: UserConfig,
    /// LDK's logger.
    pub log: Arc<LdkLog>,
    /// The chain that it follows and broadcasts to.
    pub chain: SharedChain,
}

fn node_id(keys: &Signer) -> Result<PublicKey> {
    keys.get_node_id(Recipient::Node).map_err(|()| Error::new(Code::Internal, "the signer has no node key"))
}

impl<R: Role> Node<R> {
    /// Claims the store, loads what is in it, and hands the rows to `role`.
    pub async fn open(params: NodeParams, role: impl FnOnce(&Rows) -> Result<R>) -> Result<Node<R>> {
        let keys = params.keys;
        let id = node_id(&keys)?;
        let wallet = WalletId(sha256::Hash::hash(&id.serialize()).to_byte_array());
        let mut store: Box<dyn Store> = match params.dir {
            None => Box::new(MemoryStore::open(wallet)),
            Some(dir) => Box::new(FileStore::open(&dir, wallet)),
        };
        let claimant = Claimant::of_process(std::process::id());
        let snapshot = store.claim_and_load(&claimant).await?;

        let wake = Arc::new(Notify::new());
        let engine = Engine::new(
            EngineParams {
                network: Network::Regtest,
                keys: Arc::clone(&keys),
                fees: Arc::new(LabFees),
                log: Arc::clone(&params.log),
                user_config: params.settings,
            },
            Arc::clone(&wake),
        );
        // Peers of the lab remember channels that it dropped before they were funded, and are right to.
        engine.messages().answer_unknown_channels();
        let tip = params.chain.tip();
        let loaded = engine.load(&snapshot.rows, BestBlock::new(tip.hash, tip.height))?;
        let port = Arc::new(Port::new(wake));
        let ignoring = Arc::new(IgnoringMessageHandler {});
        let hostile = Hostile::default();
        let handlers = PeerHandlers {
            chan_handler: Arc::new(Tamper::new(Arc::clone(loaded.messages()), hostile.clone())),
            route_handler: Arc::clone(&ignoring),
            onion_message_handler: ignoring,
            custom_message_handler: Arc::clone(&port),
            send_only_message_handler: Arc::clone(loaded.monitors()),
        };
        let now = u32::try_from(clock::now().as_secs()).unwrap_or(u32::MAX);
        let ephemeral = entropy::random();
        let peers = Arc::new(PeerManager::new(handlers, now, &ephemeral, params.log, keys));
        let role = role(&snapshot.rows)?;
        let committer = Committer::new(store, &snapshot, COMMIT_PATIENCE);
        let seen = RefCell::new(crate::chain::Tip { height: 0, ..tip });
        let base = Base { loaded, peers, port, chain: params.chain, id, hostile, seen };
        Ok(Node { base, role, committer: RefCell::new(Some(committer)) })
    }
}
