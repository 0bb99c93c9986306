//! How much memory one input takes: a counting allocator around the system's, for the test binary only.
//!
//! Counts are per thread, so that tests beside each other don't count for one another, and an input runs on one thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Refused outright while an input runs, so that a runaway ends as a failed allocation and not as a machine without memory.
const REFUSED: isize = 1 << 30;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    /// Bytes that this thread took and has not given back.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    /// The most that it had since `measure` began.
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static LIMIT: Cell<isize> = const { Cell::new(isize::MAX) };
}

/// Runs it and says how many bytes it had at its worst moment, beside what was there before.
pub(super) fn measure<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    LIMIT.set(before + REFUSED);
    let result = run();
    LIMIT.set(isize::MAX);
    (result, usize::try_from(PEAK.get() - before).unwrap_or(0))
}

/// Whether that many bytes more are allowed.
fn take(bytes: usize) -> bool {
    let bytes = isize::try_from(bytes).unwrap_or(isize::MAX);
    LIVE.try_with(|live| {
        let now = live.get().saturating_add(bytes);
        PEAK.set(PEAK.get().max(now));
        let allowed = now <= LIMIT.get();
        if allowed {
            live.set(now);
        }
        allowed
    })
    // A thread that ends: nothing is measured there.
    .unwrap_or(true)
}

fn give(bytes: usize) {
    let _ = LIVE.try_with(|live| live.set(live.get() - isize::try_from(bytes).unwrap_or(isize::MAX)));
}

// SAFETY: every call is the system allocator's with the same arguments; a null pointer is a refusal, as the trait has it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give(layout.size());
        // SAFETY: `pointer` came from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !take(size) {
            return std::ptr::null_mut();
        }
        give(layout.size());
        // SAFETY: as for `dealloc`, and the caller's promise about `size` is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[test]
fn what_an_input_takes_at_its_worst_is_counted_and_what_was_there_before_is_not() {
    let before = vec![1u8; 50_000];
    let (kept, most) = measure(|| {
        drop(vec![1u8; 100_000]);
        vec![before.len() as u8; 1_000]
    });
    assert!((101_000..102_000).contains(&(most + 1_000)), "{most}");
    assert_eq!(kept.len(), 1_000);
    let (refused, most) = measure(|| Vec::<u8>::new().try_reserve_exact(2 << 30).is_err());
    assert!(refused && most >= 2 << 30, "{most}");
}
