//! The nodes of one JavaScript environment (the main thread, or one worker), and their end.
//!
//! What must hold: when an environment ends, all its nodes are destroyed before Node frees what their threads could touch, and
//! nothing runs on that no node of the process belongs to. A node that JavaScript lost without `destroy()` has no part in anything
//! from then on (core's `Node` says how); its end must not block the garbage collector.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use mayfly_core::config::Config;
use mayfly_core::error::{Error, Result};
use mayfly_core::node::{destroy_together, Node, OnIdle, Origin, State};
use napi::Env;

use crate::idle::IdleListener;
use crate::{errors, log, panics, shutdown};

thread_local! {
    /// An environment belongs to one thread; a thread can have several (the addon loaded twice).
    static ENVIRONMENTS: RefCell<HashMap<usize, Arc<Registry>>> = RefCell::default();
}

/// The live nodes of an environment.
#[derive(Default)]
pub struct Registry {
    nodes: Mutex<Nodes>,
    idle_listener: Arc<IdleListener>,
    /// How many shutdowns of this environment alone are under way.
    shutdowns: AtomicUsize,
    /// What a shutdown waits on.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Nodes {
    last_id: u64,
    live: HashMap<u64, Node>,
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

    /// Where it is registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl Drop for Handle {
    /// On the JavaScript thread (garbage collection), or on the node's own when a promise held it last.
    fn drop(&mut self) {
        // Outside the lock: letting go of a node may end calls.
        let lost = self.registry.lock().live.remove(&self.id);
        drop(lost);
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
    let registry = Arc::new(Registry::default());
    shutdown::known(&registry);
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
    /// A node of these options. `created_at`: where JavaScript made it.
    pub fn open(self: &Arc<Self>, config: Config, created_at: Option<String>) -> Result<Arc<Handle>> {
        let listener = Arc::clone(&self.idle_listener);
        let on_idle: OnIdle = Arc::new(move |created_at, limit| listener.tell(created_at, limit));
        let node = Node::new(config, Origin { created_at, on_idle: Some(on_idle) })?;
        let mut nodes = self.lock();
        if nodes.ended {
            return Err(Error::destroyed());
        }
        nodes.last_id += 1;
        let id = nodes.last_id;
        nodes.live.insert(id, node.clone());
        Ok(Arc::new(Handle { id, node, registry: Arc::clone(self) }))
    }

    /// Who is told of nodes that the idle limit ended.
    pub fn idle_listener(&self) -> &IdleListener {
        &self.idle_listener
    }

    /// Every node that may still do something.
    pub fn everything(&self) -> Vec<Node> {
        self.lock().live.values().filter(|node| node.state() != State::Destroyed).cloned().collect()
    }

    /// How many shutdowns of this environment alone are under way.
    pub fn shutdowns(&self) -> &AtomicUsize {
        &self.shutdowns
    }

    /// This thread must be gone before the environment is.
    pub fn owns(&self, thread: JoinHandle<()>) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|other| !other.is_finished());
        threads.push(thread);
    }

    /// Destroys and joins everything; later nodes are refused.
    fn end(&self) {
        let nodes: Vec<Node> = {
            let mut nodes = self.lock();
            nodes.ended = true;
            nodes.live.drain().map(|(_, node)| node).collect()
        };
        destroy_together(&nodes, None);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
        self.idle_listener.forget();
    }

    fn lock(&self) -> MutexGuard<'_, Nodes> {
        // The map is whole between any two statements: a panic elsewhere does not spoil it.
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
