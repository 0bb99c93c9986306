//! The kill timer: ends the process by force when it has not ended in time.
//!
//! A shutdown can hang where nothing of ours is asked any more: an `exit` handler that loops, a native thread in a system call
//! that does not return (Node joins its thread pool before it exits), JavaScript that begins after the shutdown did. So the timer
//! is a detached native thread that needs neither Node nor JavaScript, only the kernel: it waits on a condition variable and sends
//! SIGKILL to its own process. All signals are blocked in it, so that the host's handlers run where they always ran.
//!
//! What must hold: it never fires before its deadline, and never when it was disarmed before; the earliest deadline of all calls
//! counts. It keeps no event loop alive, and nobody joins it: it ends with the process, or when it is disarmed. Node does not
//! unload an addon that the main thread has loaded, so its code stays.

use std::io;
use std::mem::MaybeUninit;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// It calls three functions. What glibc takes of a stack for the thread-locals of all libraries fits as well.
const STACK_BYTES: usize = 128 << 10;
/// How a shell writes "ended by SIGKILL".
const KILLED: libc::c_int = 128 + libc::SIGKILL;

struct Timer {
    deadline: Option<Instant>,
    /// A thread looks at the deadline.
    watched: bool,
}

static TIMER: Mutex<Timer> = Mutex::new(Timer { deadline: None, watched: false });
static CHANGED: Condvar = Condvar::new();

/// From now on the process has so long to end. One that is armed already keeps the earlier deadline.
pub fn arm(after: Duration) -> io::Result<()> {
    let mut timer = lock();
    let deadline = now() + after;
    timer.deadline = Some(timer.deadline.map_or(deadline, |known| known.min(deadline)));
    if !timer.watched {
        spawn()?;
        timer.watched = true;
    }
    CHANGED.notify_all();
    Ok(())
}

/// The process may live on.
pub fn disarm() {
    lock().deadline = None;
    CHANGED.notify_all();
}

fn spawn() -> io::Result<()> {
    let signals = block_signals();
    #[allow(clippy::disallowed_methods, reason = "this one outlives whoever starts it: that is its purpose")]
    let spawned = thread::Builder::new().name("mayfly-kill".to_owned()).stack_size(STACK_BYTES).spawn(watch);
    restore_signals(&signals);
    spawned.map(drop)
}

fn watch() {
    let mut timer = lock();
    while let Some(deadline) = timer.deadline {
        let left = deadline.saturating_duration_since(now());
        if left.is_zero() {
            kill();
        }
        timer = CHANGED.wait_timeout(timer, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    timer.watched = false;
}

fn kill() {
    // SAFETY: neither call touches memory of ours.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGKILL);
        // Still here: the first process of a container is immune to signals from within it. Leaving at once runs no handler, and
        // the kernel ends the other threads, wherever they are.
        libc::_exit(KILLED);
    }
}

/// A new thread inherits the mask of the one that starts it.
fn block_signals() -> libc::sigset_t {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets have room for what is written, and a mask of this thread can always be exchanged.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set came from `block_signals` on this thread.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}

fn now() -> Instant {
    #[allow(
        clippy::disallowed_methods,
        reason = "the process's own end: no simulation owns it, and no runtime need be there"
    )]
    Instant::now()
}

fn lock() -> MutexGuard<'static, Timer> {
    TIMER.lock().unwrap_or_else(PoisonError::into_inner)
}
