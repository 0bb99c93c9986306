//! A node's thread: one current-thread runtime on which all of its LDK runs, and a way to call it from outside.

use super::{Node, Role};
use mayfly_core::error::{Code, Error, Result};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;
type Job<R> = Box<dyn FnOnce(Rc<Node<R>>) -> LocalFuture + Send>;

/// LDK's deepest call chains in unoptimised builds are past the default 2 MiB.
const STACK_BYTES: usize = 8 << 20;

/// How a node ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Disconnects, commits, gives the lease back.
    Graceful,
    /// As `kill -9` does: nothing more is written or said.
    Kill,
}

/// A running node. Dropping it kills the node and joins its thread.
pub struct NodeThread<R: Role> {
    jobs: mpsc::UnboundedSender<Job<R>>,
    end: watch::Sender<Option<End>>,
    over: Arc<Mutex<Option<Error>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<R: Role> NodeThread<R> {
    /// Starts the thread; returns when `open` is done on it. `tasks` are run beside the node and end with it.
    pub async fn start<Opening, Tasks>(
        name: &str,
        open: impl FnOnce() -> Opening + Send + 'static,
        tasks: impl FnOnce(Rc<Node<R>>) -> Tasks + Send + 'static,
    ) -> Result<NodeThread<R>>
    where
        Opening: Future<Output = Result<Node<R>>>,
        Tasks: Future<Output = ()> + 'static,
    {
        let (jobs, mut incoming) = mpsc::unbounded_channel::<Job<R>>();
        let (end, ended) = watch::channel(None);
        let (opened, is_open) = oneshot::channel();
        let over = Arc::new(Mutex::new(None));
        let verdict = Arc::clone(&over);
        let name = name.to_owned();
        let body = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = opened.send(Err(Error::new(Code::Internal, format!("no runtime: {error}"))));
                    return;
                }
            };
            let local = LocalSet::new();
            local.block_on(&runtime, async move {
                let node = match open().await {
                    Ok(node) => Rc::new(node),
                    Err(error) => {
                        let _ = opened.send(Err(error));
                        return;
                    }
                };
                tokio::task::spawn_local(tasks(Rc::clone(&node)));
                let served = Rc::clone(&node);
                tokio::task::spawn_local(async move {
                    while let Some(job) = incoming.recv().await {
                        tokio::task::spawn_local(job(Rc::clone(&served)));
                    }
                });
                let _ = opened.send(Ok(()));
                if let Err(error) = node.run(ended).await {
                    *verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            });
            // Tasks first: they own sockets, which must be closed when this thread is joined.
            drop(local);
            runtime.shutdown_background();
        };
        let spawned = std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(body);
        let thread = spawned.map_err(|error| Error::new(Code::Internal, format!("no thread: {error}")))?;
        let running = NodeThread { jobs, end, over, thread: Mutex::new(Some(thread)) };
        match is_open.await {
            Ok(Ok(())) => Ok(running),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::new(Code::Internal, "the node's thread panicked while it opened; see the log")),
        }
    }

    /// Runs `job` on the node's thread. `NODE_DESTROYED`, or why the node is over, if it does not run any more.
    pub async fn call<T, Work>(&self, job: impl FnOnce(Rc<Node<R>>) -> Work + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        Work: Future<Output = T> + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job<R> = Box::new(move |node| {
            Box::pin(async move {
                let _ = answer.send(job(node).await);
            })
        });
        let sent = self.jobs.send(job).is_ok();
        match answered.await {
            Ok(value) if sent => Ok(value),
            _ => Err(self.over.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_else(Error::destroyed)),
        }
    }

    /// Ends the node and waits for its thread, which is over in milliseconds: call it where that blocks nobody.
    pub fn end(&self, how: End) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            end.get_or_insert(how);
            first
        });
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            if thread.join().is_err() {
                tracing::error!("a node's thread panicked");
            }
        }
    }
}

impl<R: Role> Drop for NodeThread<R> {
    fn drop(&mut self) {
        self.end(End::Kill);
    }
}
