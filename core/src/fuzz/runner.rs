//! Runs inputs through a target, and says of one that fails how to get it again.
//!
//! An input fails that panics outside of a guard, breaks the target's property, takes more than [`MAX_CPU`] of the processor, or
//! more memory than [`allowed_bytes`]. One that never ends, or ends the process, can't be caught from inside: a watchdog names the
//! first, and `npm run fuzz` finds the second (it runs the inputs again and notes each before it starts).

use super::{memory, mutate, Target};
use crate::testing::Random;
use std::cell::{Cell, RefCell};
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Of a million inputs, the inputs that `cargo test` runs, in order from the first. Four seconds of one core.
const SHARE: u64 = 50_000;

/// The seed of that share. Always the same, so that a test that fails does so because of a change.
const SHARE_SEED: u64 = 1;

/// The slowest good input takes some milliseconds. Of the thread's own time: a busy machine fails nothing.
const MAX_CPU: Duration = Duration::from_secs(5);

/// Wall time: this is a deadlock, or a loop without an end.
const HANGS: Duration = Duration::from_secs(120);

/// What a node's thread has (`node/worker.rs`): an input that needs more would end the process there.
const STACK_BYTES: usize = 8 << 20;

/// How often a long run says where it is.
const PROGRESS: Duration = Duration::from_secs(5);

/// A length that lies must not be believed: what an input may cost beside `usual`, what a valid one costs, is a fixed sum and a
/// multiple of its own size.
fn allowed_bytes(usual: usize, input: &[u8]) -> usize {
    usual.saturating_add((64 << 20) + 50 * input.len())
}

/// Longer inputs are shown in part; the whole is in a file.
const SHOWN_BYTES: usize = 2_048;

/// What to run: `cargo test`'s share, or what `npm run fuzz` asks for by the environment.
struct Plan {
    seed: u64,
    /// Of a million.
    count: u64,
    only: Option<String>,
    /// One target's inputs from here on, `count` of them.
    from: Option<u64>,
    /// A folder where each target's input is noted before it starts.
    trace: Option<PathBuf>,
    talks: bool,
}

impl Plan {
    fn of_environment() -> Plan {
        let text = |name: &str| std::env::var(format!("MAYFLY_FUZZ_{name}")).ok();
        let number = |name: &str| text(name).map(|value| value.parse().expect("a number in MAYFLY_FUZZ_…"));
        Plan {
            seed: number("SEED").unwrap_or(SHARE_SEED),
            count: number("COUNT").unwrap_or(SHARE),
            only: text("TARGET"),
            from: number("FROM"),
            trace: text("TRACE").map(PathBuf::from),
            talks: number("COUNT").is_some(),
        }
    }

    /// The numbers of the inputs that this target gets.
    fn inputs(&self, target: &Target) -> std::ops::Range<u64> {
        match (self.from, &self.only) {
            (Some(from), _) => from..from + self.count,
            (None, Some(_)) => 0..self.count,
            (None, None) => 0..(self.count * target.per_million).div_ceil(1_000_000),
        }
    }
}

/// Asserts that what is asked for exists: a run of nothing must not look like one without a failure.
pub(super) fn assert_known(names: &[&str]) {
    if let Some(only) = Plan::of_environment().only {
        assert!(names.contains(&only.as_str()), "no target is called {only}; there are {}", names.join(", "));
    }
}

/// Runs what the plan says of these targets, one after the other.
pub(super) fn run(make: impl FnOnce() -> Vec<Target> + Send) {
    let plan = Plan::of_environment();
    let runs = || {
        for target in make() {
            if plan.only.as_ref().is_none_or(|only| only == target.name) {
                run_target(&plan, &target);
            }
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("fuzz".to_owned()).stack_size(STACK_BYTES);
        if let Err(failure) = thread.spawn_scoped(scope, runs).unwrap().join() {
            panic::resume_unwind(failure);
        }
    });
}

fn run_target(plan: &Plan, target: &Target) {
    hush();
    let regressions = regressions(target.name);
    let seeds = [target.seeds.as_slice(), &regressions].concat();
    let watched = Watched {
        began: Instant::now(),
        input: AtomicU64::new(0),
        since_ms: AtomicU64::new(0),
        done: AtomicBool::new(false),
    };
    let name = target.name;
    std::thread::scope(|scope| {
        std::thread::Builder::new().spawn_scoped(scope, || watched.watch(plan, name)).unwrap();
        let finished = Finished(&watched);
        // What is valid, and what once failed.
        let ran: Vec<Ran> = target.seeds.iter().map(|seed| run_known(target, seed, usize::MAX)).collect();
        let usual = ran.iter().map(|ran| ran.bytes).max().unwrap_or(0);
        assert!(ran.iter().any(|ran| ran.taken), "{name}: a target that takes none of its seeds tests nothing");
        for input in &regressions {
            run_known(target, input, usual);
        }
        let mut taken = 0;
        let inputs = plan.inputs(target);
        let mut said = Instant::now();
        for number in inputs.clone() {
            watched.begin(number);
            let input = mutate::mutated(&mut Random::for_input(plan.seed, target.name, number), &seeds);
            if let Some(folder) = &plan.trace {
                fs::write(folder.join(target.name), again(plan, target.name, number)).unwrap();
            }
            match run_input(target, &input, usual) {
                Ok(ran) => taken += u64::from(ran.taken),
                Err(reason) => fail(plan, target, number, &input, &reason),
            }
            if plan.talks && said.elapsed() > PROGRESS {
                said = Instant::now();
                eprintln!("fuzz: {} {} of {}", target.name, number - inputs.start, inputs.end - inputs.start);
            }
        }
        drop(finished);
        if plan.talks {
            let ms = watched.began.elapsed().as_millis();
            eprintln!("fuzz: {name}: {} inputs in {ms} ms, {taken} taken", inputs.end - inputs.start);
        }
    });
}

/// What became of an input that did not fail.
struct Ran {
    taken: bool,
    bytes: usize,
}

/// Runs a seed or a regression.
fn run_known(target: &Target, input: &[u8], usual: usize) -> Ran {
    run_input(target, input, usual).unwrap_or_else(|reason| panic!("{}: {reason}\n{}", target.name, hex(input)))
}

/// Runs one input; an error says what was wrong.
fn run_input(target: &Target, input: &[u8], usual: usize) -> Result<Ran, String> {
    let began = thread_time();
    FUZZING.set(true);
    let (ran, bytes) = memory::measure(|| panic::catch_unwind(AssertUnwindSafe(|| (target.check)(input))));
    FUZZING.set(false);
    let took = thread_time().saturating_sub(began);
    let Ok(taken) = ran else {
        return Err(format!("a panic {}", PANIC.take()));
    };
    if bytes > allowed_bytes(usual, input) {
        return Err(format!("{bytes} bytes of memory for {} of input", input.len()));
    }
    if took > MAX_CPU {
        return Err(format!("{} ms of processor time", took.as_millis()));
    }
    Ok(Ran { taken, bytes })
}

fn fail(plan: &Plan, target: &Target, number: u64, input: &[u8], reason: &str) -> ! {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
    let path = folder.join(format!("{}-{}-{number}", target.name, plan.seed));
    let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input)).is_ok();
    let shown = if kept { path.display().to_string() } else { "nowhere: the folder can't be written".to_owned() };
    panic!(
        "{}, seed {}, input {number}: {reason}\nagain: {}\nthe input is in {shown}\n{}",
        target.name,
        plan.seed,
        again(plan, target.name, number),
        hex(input)
    );
}

fn again(plan: &Plan, target: &str, number: u64) -> String {
    format!("npm run fuzz -- --target {target} --seed {} --from {number} --count 1", plan.seed)
}

fn hex(bytes: &[u8]) -> String {
    let shown = crate::wallet::view::hex(&bytes[..bytes.len().min(SHOWN_BYTES)]);
    format!("{shown}{}", if bytes.len() > SHOWN_BYTES { "…" } else { "" })
}

/// Inputs that failed once; each is run before all others, and broken anew.
fn regressions(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fuzz/regressions").join(target);
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// This thread's time on a processor.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

thread_local! {
    static FUZZING: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics of inputs are noted instead of printed: LDK's are caught by the hundred, by the product's own guards.
fn hush() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if FUZZING.try_with(Cell::get).unwrap_or(false) {
                PANIC.set(info.to_string());
            } else {
                before(info);
            }
        }));
    });
}

/// What the watchdog looks at.
struct Watched {
    began: Instant,
    input: AtomicU64,
    since_ms: AtomicU64,
    done: AtomicBool,
}

struct Finished<'a>(&'a Watched);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::SeqCst);
    }
}

impl Watched {
    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn begin(&self, input: u64) {
        self.input.store(input, Ordering::Relaxed);
        self.since_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Nothing can end a thread that hangs, so the process ends, with the input's name.
    fn watch(&self, plan: &Plan, target: &str) {
        while !self.done.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
            if Duration::from_millis(self.now_ms().saturating_sub(self.since_ms.load(Ordering::Relaxed))) > HANGS {
                let number = self.input.load(Ordering::Relaxed);
                let again = again(plan, target, number);
                eprintln!("{target}, seed {}, input {number} hangs\nagain: {again}", plan.seed);
                std::process::abort();
            }
        }
    }
}

#[test]
fn an_input_that_panics_or_takes_too_much_memory_fails_and_says_why() {
    hush();
    let target = Target::new("test", 0, &["a"], |input| match input {
        b"panics" => panic!("for once"),
        b"fills" => vec![1u8; 70 << 20].len() > input.len(),
        _ => input.len() > 1,
    });
    let reason = |input: &[u8]| run_input(&target, input, 0).err().unwrap_or_default();
    assert!(reason(b"panics").contains("for once") && reason(b"panics").contains("runner.rs"));
    assert!(reason(b"fills").contains("bytes of memory"));
    assert_eq!(reason(b"is good"), "");
    assert!(run_input(&target, b"fills", 10 << 20).is_ok_and(|ran| ran.taken && ran.bytes >= 70 << 20));
    assert!(run_input(&target, b"", 0).is_ok_and(|ran| !ran.taken));
}
