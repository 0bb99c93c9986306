//! The nodes of one JavaScript environment (the main thread, or one worker), and their end.
//!
//! What must hold: when an environment ends, all its nodes are destroyed and joined before Node frees what their threads
//! could touch. And a node that JavaScript lost without `destroy()` must not live on beside its successor: when its last
//! reference goes, it is told to stop, without blocking the garbage collector, and is swept up by a later call.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use mayfly_core::error::{Error, Result};
use mayfly_core::node::{destroy_together, Call, Node, State};
use mayfly_core::reply::Reply;
use napi::Env;

use crate::{errors, log, panics};

thread_local! {
    /// An environment belongs to one thread; a thread can have several (the addon loaded twice).
    static ENVIRONMENTS: RefCell<HashMap<usize, Arc<Registry>>> = RefCell::default();
}

/// The live nodes of an environment.
pub struct Registry {
    owner: ThreadId,
    nodes: Mutex<Nodes>,
}

#[derive(Default)]
struct Nodes {
    last_id: u64,
    live: HashMap<u64, Node>,
    /// Lost by JavaScript, told to stop.
    lost: Vec<Node>,
    ended: bool,
}

/// A JavaScript `MdkNode`'s hold on its node, shared with the promises in flight.
pub struct Handle {
    id: u64,
    node: Node,
    registry: Arc<Registry>,
}

impl Handle {
    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }
}

impl Drop for Handle {
    /// On the JavaScript thread (garbage collection), or on the node's own when a promise held it last.
    fn drop(&mut self) {
        self.registry.release(self.id);
    }
}

/// A name for the environment, unique while it lives.
pub fn key(env: &Env) -> usize {
    env.raw() as usize
}

/// The registry of this environment; the first call installs the cleanup hook.
pub fn registry(env: &Env) -> Result<Arc<Registry>> {
    let key = key(env);
    if let Some(known) = ENVIRONMENTS.with_borrow(|all| all.get(&key).cloned()) {
        return Ok(known);
    }
    let registry = Arc::new(Registry { owner: thread::current().id(), nodes: Mutex::default() });
    let hooked = Arc::clone(&registry);
    env.add_env_cleanup_hook((), move |()| {
        // Nothing may unwind into Node, and nobody is left to tell.
        let _ = panics::caught(|| {
            hooked.end();
            log::forget(key);
            ENVIRONMENTS.with_borrow_mut(|all| all.remove(&key));
            Ok(())
        });
    })
    .map_err(errors::from_napi)?;
    ENVIRONMENTS.with_borrow_mut(|all| all.insert(key, Arc::clone(&registry)));
    Ok(registry)
}

impl Registry {
    /// Takes a node in.
    pub fn adopt(self: &Arc<Self>, node: Node) -> Result<Arc<Handle>> {
        self.sweep();
        let mut nodes = self.lock();
        if nodes.ended {
            return Err(Error::destroyed());
        }
        nodes.last_id += 1;
        let id = nodes.last_id;
        nodes.live.insert(id, node.clone());
        Ok(Arc::new(Handle { id, node, registry: Arc::clone(self) }))
    }

    fn release(&self, id: u64) {
        let mut nodes = self.lock();
        let Some(node) = nodes.live.remove(&id) else { return };
        let at_rest = matches!(node.state(), State::Idle | State::Destroyed);
        if at_rest && thread::current().id() == self.owner {
            return;
        }
        // Kept, because the last clone must not go on the node's own thread, which it would have to join.
        nodes.lost.push(node.clone());
        drop(nodes);
        if !at_rest {
            node.stop(Call::default(), Reply::new(|_| ()));
        }
    }

    /// Ends lost nodes that have come to rest; that takes no time.
    fn sweep(&self) {
        let ended: Vec<Node> = {
            let mut nodes = self.lock();
            let (ended, busy) = std::mem::take(&mut nodes.lost).into_iter().partition(at_rest);
            nodes.lost = busy;
            ended
        };
        ended.iter().for_each(destroy);
    }

    /// Destroys and joins everything; later nodes are refused.
    fn end(&self) {
        let nodes: Vec<Node> = {
            let mut nodes = self.lock();
            nodes.ended = true;
            let lost = std::mem::take(&mut nodes.lost);
            nodes.live.drain().map(|(_, node)| node).chain(lost).collect()
        };
        destroy_all(&nodes);
    }

    fn lock(&self) -> MutexGuard<'_, Nodes> {
        // The map is whole between any two statements: a panic elsewhere does not spoil it.
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All at once: each may take its `destroyTimeoutMs`, and an ending worker must not wait for their sum.
fn destroy_all(nodes: &[Node]) {
    // A bug in there must not unwind into Node; what it left goes with the process.
    let _ = panics::caught(|| Ok(destroy_together(nodes, None)));
}

fn destroy(node: &Node) {
    // One node's bug must not keep the others alive.
    let _ = panics::caught(|| Ok(node.destroy()));
}

fn at_rest(node: &Node) -> bool {
    matches!(node.state(), State::Idle | State::Fenced | State::Destroyed)
}
