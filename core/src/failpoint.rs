//! Named instants of a wallet's life at which a test ends the process, stops it, or breaks the step. They exist in builds with the
//! feature `failpoints` only: in every other [`reached`] is empty, and no name is in the binary.
//!
//! A test arms them by the environment of the process, before mayfly is loaded:
//! * `MAYFLY_FAILPOINT=BeforeCommit:3` – SIGKILL at the third passing. Several stand side by side, with commas between.
//!   `BeforeCommit:3:panic` panics there, as a bug would; `BeforeCommit:3:block` holds the thread, as a machine that freezes would.
//! * `MAYFLY_FAILPOINT_FD=3` – whatever happens is told there first, as a line of JSON:
//!   `{"failpoint":"BeforeCommit","passing":3,"action":"kill","pid":17}`. What blocks goes on when a byte can be read from it.
//!
//! What must hold: a test that names a failpoint wrongly fails, whoever reaches any failpoint first.

/// The names say where, in the words of `docs/architecture.md`.
macro_rules! points {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// See the module's head.
        #[derive(Clone, Copy)]
        pub enum Point {
            $($(#[$doc])* $name,)*
        }

        #[cfg(feature = "failpoints")]
        const NAMES: &[&str] = &[$(stringify!($name),)*];
    };
}

points! {
    /// A wallet's database exists and is empty.
    AfterNewFile,
    /// Its tables are made, and not committed.
    MidSchema,
    /// The epoch is raised, and not committed.
    MidClaim,
    /// The lease is ours, and nothing is read.
    AfterLeaseClaim,
    /// LDK is loaded, and knows nothing of the chain since.
    AfterLoad,
    /// Esplora's answers are about to be told to LDK.
    MidSync,
    /// LDK is at the chain's tip.
    AfterSync,
    /// The LSP has our `init`.
    AfterConnect,
    /// A method of the node was called, on the JavaScript thread.
    MidCall,
    /// A log record is made for JavaScript, by whoever logs.
    MidLogRecord,
    /// A message of the LSP is handed to LDK, in the task that reads the socket.
    MidPeerMessage,
    /// The same, of one of LSPS0.
    MidLspsMessage,
    /// A payment can be claimed, and is not.
    BeforeClaim,
    /// LDK has claimed it, and nobody else knows.
    AfterClaim,
    /// The cut is made.
    BeforeCommit,
    /// Its rows are written, and the transaction is not committed.
    MidCommit,
    /// It is durable, and its outputs are held.
    AfterCommitBeforeRelease,
    /// The same, of a cut that holds the fulfilment of a payment.
    BeforeFulfil,
    /// The same, of a cut that holds transactions, whose messages are on their way.
    BeforeBroadcast,
    /// The gate is open, and nothing is sent.
    AfterReleaseBeforeSend,
    /// What a turn had to say is said.
    AfterSend,
    /// JavaScript acks an event, and nothing of it is committed.
    BeforeAck,
    /// The ack is durable, and its promise is not kept.
    AfterAck,
    /// Nothing is in flight, and the connection stands.
    BeforeGoodbye,
    /// The LSP has ended its side, too.
    AfterGoodbye,
    /// All is committed, and the lease is ours.
    BeforeLeaseRelease,
    /// The lease is given back.
    AfterLeaseRelease,
    /// `destroy()` was called.
    BeforeDestroy,
    /// The connection is closed; what is worth a commit is not committed.
    DestroyAfterDisconnect,
    /// The last commit is made, and the lease is ours.
    DestroyAfterCommit,
}

/// Does what a test has asked for at this passing of this point.
#[cfg(feature = "failpoints")]
#[track_caller]
pub fn reached(point: Point) {
    armed::reached(point as usize);
}

/// Arms others than the environment asked for, in a process that lives on; passings count from here.
#[cfg(feature = "failpoints")]
pub fn arm(text: &str) -> Result<(), String> {
    armed::arm(text)
}

/// There is nothing to arm.
#[cfg(not(feature = "failpoints"))]
pub fn arm(_: &str) -> Result<(), String> {
    Err("this build has no failpoints".to_owned())
}

/// All of them, in the order of a life.
#[cfg(feature = "failpoints")]
pub fn names() -> &'static [&'static str] {
    NAMES
}

/// There are none.
#[cfg(not(feature = "failpoints"))]
pub fn names() -> &'static [&'static str] {
    &[]
}

/// Does nothing.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reached(_: Point) {}

#[cfg(feature = "failpoints")]
mod armed {
    use super::NAMES;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::mem::ManuallyDrop;
    use std::os::fd::{FromRawFd, RawFd};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    const POINTS: usize = NAMES.len();

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Action {
        Kill,
        Block,
        Panic,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Armed {
        pub point: usize,
        pub passing: u64,
        pub action: Action,
    }

    static PASSED: [AtomicU64; POINTS] = [const { AtomicU64::new(0) }; POINTS];

    #[allow(clippy::panic, reason = "an armed failpoint is a test's; what a test got wrong must not pass")]
    #[track_caller]
    pub fn reached(point: usize) {
        let passing = PASSED.get(point).map_or(0, |passed| passed.fetch_add(1, Ordering::Relaxed) + 1);
        let found = {
            let mut armed = armed();
            if armed.is_none() {
                match parse(&variable("MAYFLY_FAILPOINT").unwrap_or_default()) {
                    Ok(parsed) => *armed = Some(parsed),
                    Err(problem) => panic!("MAYFLY_FAILPOINT: {problem}"),
                }
            }
            armed.iter().flatten().find(|it| it.point == point && it.passing == passing).copied()
        };
        let Some(it) = found else { return };
        tell(&it);
        match it.action {
            Action::Kill => kill(),
            Action::Block => block(),
            Action::Panic => panic!("the failpoint {}, as asked", name(point)),
        }
    }

    /// Instead of what was armed before; passings count from here.
    pub fn arm(text: &str) -> Result<(), String> {
        let parsed = parse(text)?;
        let mut armed = armed();
        PASSED.iter().for_each(|passed| passed.store(0, Ordering::Relaxed));
        *armed = Some(parsed);
        Ok(())
    }

    fn armed() -> MutexGuard<'static, Option<Vec<Armed>>> {
        static ARMED: Mutex<Option<Vec<Armed>>> = Mutex::new(None);
        ARMED.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(point: usize) -> &'static str {
        NAMES.get(point).copied().unwrap_or_default()
    }

    /// `BeforeCommit:3,AfterLoad:1:block`.
    pub fn parse(text: &str) -> Result<Vec<Armed>, String> {
        let one = |part: &str| {
            let mut words = part.split(':');
            let name = words.next().unwrap_or_default();
            let point = NAMES.iter().position(|known| *known == name);
            let point = point.ok_or_else(|| format!("there is no {name:?}; there are {}", NAMES.join(", ")))?;
            let passing = words.next().and_then(|number| number.parse().ok()).filter(|passing| *passing > 0);
            let passing = passing.ok_or_else(|| format!("{part:?} does not say at which passing: {name}:1"))?;
            let action = match (words.next(), words.next()) {
                (None | Some("kill"), None) => Action::Kill,
                (Some("block"), None) => Action::Block,
                (Some("panic"), None) => Action::Panic,
                _ => return Err(format!("{part:?} should end with :kill, :block or :panic")),
            };
            Ok(Armed { point, passing, action })
        };
        text.split(',').filter(|part| !part.is_empty()).map(one).collect()
    }

    #[allow(clippy::disallowed_methods, reason = "not what configures a node: what a test does to it")]
    fn variable(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    /// The test's descriptor, which is never closed here.
    fn channel() -> Option<ManuallyDrop<File>> {
        let fd: RawFd = variable("MAYFLY_FAILPOINT_FD")?.parse().ok()?;
        // SAFETY: whoever sets the variable has opened the descriptor for this, and it is never closed.
        Some(ManuallyDrop::new(unsafe { File::from_raw_fd(fd) }))
    }

    fn tell(it: &Armed) {
        let action = match it.action {
            Action::Kill => "kill",
            Action::Block => "block",
            Action::Panic => "panic",
        };
        let (pid, name, passing) = (std::process::id(), name(it.point), it.passing);
        let line =
            format!("{{\"failpoint\":\"{name}\",\"passing\":{passing},\"action\":\"{action}\",\"pid\":{pid}}}\n");
        if let Some(mut channel) = channel() {
            // A test that does not listen sees the rest all the same.
            let _ = channel.write_all(line.as_bytes());
        }
    }

    /// No clean-up of anybody's runs after this.
    fn kill() {
        // SAFETY: raise(3) takes no memory of ours.
        unsafe { libc::raise(libc::SIGKILL) };
    }

    /// Until a byte comes. Without a descriptor, or when the other end is gone, nobody could end it: then it ends here.
    fn block() {
        let released = channel().map(|mut channel| channel.read_exact(&mut [0]));
        if !matches!(released, Some(Ok(()))) {
            kill();
        }
    }
}

#[cfg(all(test, feature = "failpoints"))]
#[allow(clippy::unwrap_used, reason = "tests")]
#[path = "failpoint_tests.rs"]
mod tests;
